"""The selftest: it passes here, and it can fail."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from seqbench.cli.options import device_here
from seqbench.cli.selftest import selftest
from seqbench.devices.registry import available_devices
from seqbench.errors import UsageError, WorkerError
from seqbench.records import Comparison
from seqbench.testing.selftest import verifications
from seqbench.testing.selftest.verifications import (
    GATES,
    Verification,
    agrees,
    verify_macs,
    verify_training,
)


def comparison(effect: float, low: float, high: float) -> Comparison:
    return Comparison(
        "latency", "a", "b", "ratio", effect, low=low, high=high, p=0.01, verdict="better", n=5
    )


def test_the_true_ratio_must_lie_in_the_widened_interval() -> None:
    found = comparison(0.95, 0.95 / 1.01, 0.95 * 1.01)
    assert agrees(found, 0.95 * 1.009)
    # t(0.9995, 4) / t(0.975, 4) = 8.610 / 2.776
    assert agrees(found, 0.95 * math.exp(8.610 / 2.776 * math.log(1.0099)))
    assert not agrees(found, 0.95 * 1.032)
    assert not agrees(found, 0.95 / 1.032)


def test_exact_verifications_pass_here(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"macs": verify_macs, "training": verify_training}
    monkeypatch.setattr(verifications, "GROUPS", groups)
    done = CliRunner().invoke(selftest, ["--quick"])
    assert done.exit_code == 0, done.output
    assert done.output.count("pass") == 12
    assert "all 11 passed" in done.output


def test_a_wrong_figure_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifications, "GROUPS", {"macs": verify_macs})
    monkeypatch.setitem(GATES, "gru", 4)
    done = CliRunner().invoke(selftest, ["--quick"])
    assert done.exit_code == 1
    assert "3 of 9 failed" in done.output
    assert "a busy machine does not explain this" in done.output
    assert "Close other programs" not in done.output


def test_a_wrong_time_may_be_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*given: object) -> Iterator[Verification]:
        yield Verification("busy-wait", "1 ms", "2 ms", "+100 %", False, timed=True)

    monkeypatch.setattr(verifications, "GROUPS", {"clock": slow})
    done = CliRunner().invoke(selftest, ["--quick"])
    assert done.exit_code == 1
    assert "busy-wait: a busy machine may be the cause. Close other programs" in done.output


def test_an_unavailable_device_is_reported() -> None:
    options = ["--quick", "--device", "cuda:99"]
    with pytest.raises(UsageError, match="--device cuda:99: this machine has no device 'cuda:99'"):
        CliRunner().invoke(selftest, options, catch_exceptions=False)
    assert device_here("auto") in available_devices()


def test_an_unavailable_figure_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object) -> Iterator[Verification]:
        raise WorkerError("memory: crashed: the process was killed")
        yield

    monkeypatch.setattr(verifications, "GROUPS", {"memory": fails})
    done = CliRunner().invoke(selftest, ["--quick"])
    assert done.exit_code == 1
    assert "the process was killed" in " ".join(done.output.split())


@pytest.mark.slow
def test_the_whole_selftest_passes(seqbench_cli: Callable[..., Any]) -> None:
    done = seqbench_cli("selftest", "--quick", "--json")
    found = json.loads(done.stdout)
    assert [check for check in found if not check["passed"]] == []
    assert len(found) == 25
    assert done.returncode == 0
