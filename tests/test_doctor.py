"""Is this machine fit to measure? With files made by hand, and once for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from conftest import lay
from hypothesis import given
from hypothesis import strategies as st

from seqbench.devices import nvidia
from seqbench.errors import DeviceError
from seqbench.machine import cpu_time, linux, steadiness
from seqbench.machine.cpu_time import CpuTime, ProcessTime
from seqbench.machine.doctor import clock_resolution, examine_machine, steadiness_verdict
from seqbench.report.caveats import caveats
from seqbench.stats.rounding import percent_beside

CPU = "sys/devices/system/cpu"


def test_nothing_is_known_where_there_are_no_files(tmp_path: Path) -> None:
    assert linux.governors(tmp_path) is None
    assert linux.turbo(tmp_path) is None
    assert linux.throttled(tmp_path) is None


def test_frequency_turbo_and_heat(tmp_path: Path) -> None:
    lay(tmp_path, {
        f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
        f"{CPU}/cpu1/cpufreq/scaling_governor": "performance\n",
        f"{CPU}/intel_pstate/no_turbo": "0\n",
        f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3\n",
        f"{CPU}/cpu0/thermal_throttle/package_throttle_count": "4\n",
        f"{CPU}/cpu0/thermal_throttle/core_throttle_max_time_ms": "99\n",
        f"{CPU}/cpu1/thermal_throttle/core_throttle_count": "5\n",
    })  # fmt: skip
    assert linux.governors(tmp_path) == ["performance", "powersave"]
    assert linux.turbo(tmp_path) is True
    assert linux.throttled(tmp_path) == 12


@pytest.mark.parametrize(("boost", "on"), [("1", True), ("0", False)])
def test_turbo_on_amd(tmp_path: Path, boost: str, on: bool) -> None:
    assert linux.turbo(lay(tmp_path, {f"{CPU}/cpufreq/boost": boost})) is on


def test_who_was_busy_between_two_moments() -> None:
    """Two seconds on two cores: 0.6 s of a, 0.4 s own, 0.1 s of somebody unseen. "guest" is no kind
    of its own, b is gone afterwards, and another process has taken the number of c.
    """
    before = CpuTime(
        {"user": 1.0, "system": 1.0, "idle": 5.0, "iowait": 0.05, "steal": 0.1},
        {7: ProcessTime("a", 0.1), 8: ProcessTime("own", 0.0), 9: ProcessTime("b", 3.0),
         10: ProcessTime("c", 5.0)},
    )  # fmt: skip
    after = CpuTime(
        {"user": 1.9, "system": 1.2, "idle": 7.7, "iowait": 0.05, "steal": 0.3},
        {7: ProcessTime("a", 0.7), 8: ProcessTime("own", 0.4), 10: ProcessTime("d", 0.2)},
    )
    assert cpu_time.busy(before, after, 2.0, own=8) == pytest.approx(0.7 / 2)
    expected: list[Any] = [("a (7)", pytest.approx(0.6 / 2)), ("d (10)", pytest.approx(0.2 / 2))]
    assert cpu_time.busiest(before, after, 2.0, own=8) == expected
    assert cpu_time.stolen(before, after) == pytest.approx(0.2 / 4)
    nothing = CpuTime({"user": 1.0, "idle": 1.0})  # as on macOS
    assert cpu_time.stolen(nothing, nothing) is None


def test_what_this_process_does_is_not_counted_as_others() -> None:
    """Half a second of work here, and the same in another process, which shows."""
    code = "import time\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        before, clock = cpu_time.cpu_time(), time.perf_counter()
        while time.perf_counter() - clock < 0.5:
            pass
        after, took = cpu_time.cpu_time(), time.perf_counter() - clock
        other.kill()
    own, found = os.getpid(), dict(cpu_time.busiest(before, after, took, own=-1))
    (name,) = [name for name in found if name.endswith(f"({other.pid})")]
    assert found[name] > 0.1
    mine = next(used for name, used in found.items() if name.endswith(f"({own})"))
    assert mine > 0.1
    all_together = cpu_time.busy(before, after, took, own=-1)
    assert all_together - cpu_time.busy(before, after, took, own) == pytest.approx(mine, abs=0.05)
    assert all(f"({own})" not in name for name, _ in cpu_time.busiest(before, after, took, own))


def test_the_summary_of_blocks_by_hand() -> None:
    """Sorted 10 … 18: quartiles 12, 14, 16. First third 10, 11, 12; last 16, 17, 18."""
    found = steadiness.summary([10, 11, 12, 13, 14, 15, 16, 17, 18])
    assert (found["median_s"], found["n"]) == (14, 9)
    assert found["spread"] == pytest.approx(4 / 14)
    assert found["slowest"] == pytest.approx(18 / 14)
    assert found["drift"] == pytest.approx(17 / 11 - 1)
    assert found["noise"] == pytest.approx(17 / 11 - 1)
    still = steadiness.summary([3.0])
    assert (still["noise"], still["slowest"]) == (0, 1)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30), st.floats(1e-3, 1e3))
def test_noise_is_a_share_of_whatever_the_unit(blocks: list[float], unit: float) -> None:
    found = steadiness.summary(blocks)
    scaled = steadiness.summary([unit * block for block in blocks])
    assert scaled["noise"] == pytest.approx(found["noise"], rel=1e-6, abs=1e-9)
    assert found["noise"] >= 0
    assert found["slowest"] >= 1


def test_the_verdict() -> None:
    assert steadiness_verdict(0.019).startswith("Steady enough for ±2 %")
    assert steadiness_verdict(0.021).startswith("Not steady enough for ±2 %")
    assert "budget" in steadiness_verdict(0.021)
    assert steadiness_verdict(0.04, 0.05).startswith("Steady enough for ±5 %")


@pytest.mark.parametrize(
    ("noise", "shown"),
    [(0.021, "2.1"), (0.0203, "2.03"), (0.02003, "2.003"), (0.0199, "1.99"), (0.02, "2.0")],
)
def test_a_figure_at_its_limit_has_the_digits_that_tell_them_apart(
    noise: float, shown: str
) -> None:
    assert f"varied by ±{shown} %" in steadiness_verdict(noise)
    document: Any = {
        "status": "finished", "cases": [], "environment": {"doctor": {"noise": noise}},
        "measure": {"latency": {"precision": 0.02}},
    }  # fmt: skip
    assert caveats(document) == ([] if noise <= 0.02 else [
        "The machine was too noisy to measure latency to ±2 %: a repeated computation varied by "
        f"±{shown} %. Remedies: `seqbench devices --check`"
    ])  # fmt: skip


@given(st.floats(1e-6, 1, allow_nan=False), st.sampled_from([0.01, 0.02, 0.05, 0.07, 0.29]))
def test_a_figure_never_reads_like_a_limit_that_it_is_not(share: float, limit: float) -> None:
    shown = percent_beside(share, limit)
    if abs(share - limit) > 1e-12:
        assert (float(shown) > 100 * limit + 1e-12) == (share > limit) or float(shown) < 100 * limit
        assert float(shown) != float(f"{100 * limit:.10f}")


def judged(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """All findings with the files under ``root``, by name."""
    monkeypatch.setattr(psutil, "getloadavg", lambda: (999.0, 0.0, 0.0))
    swap = SimpleNamespace(total=2**21, used=2**20)
    monkeypatch.setattr(psutil, "swap_memory", lambda: swap)
    monkeypatch.setattr(steadiness, "blocks", lambda seconds: [1.0, 1.0, 1.0])
    return {finding["name"]: finding for finding in examine_machine(0.0, root)["findings"]}


def test_every_warning_has_a_remedy_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, {
        f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
        f"{CPU}/intel_pstate/no_turbo": "0\n",
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
        "sys/fs/cgroup/memory.max": "1073741824\n",
        "sys/fs/cgroup/memory.current": "1000\n",
    })  # fmt: skip
    found = judged(tmp_path, monkeypatch)
    for name in ("frequency", "turbo", "load", "swap", "memory limit"):
        assert found[name]["level"] == "warn", name
        assert found[name]["remedy"], name
        assert "\n" not in found[name]["remedy"]
    for name in ("repeatability", "drift", "slowest block", "CPU limit"):
        assert found[name]["level"] == "ok"
        assert not found[name]["remedy"]


def test_what_nobody_can_tell_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_driver() -> None:
        raise DeviceError("no NVIDIA driver")

    monkeypatch.setattr(nvidia, "processes", no_driver)
    found = judged(tmp_path, monkeypatch)
    unknown = {name for name, finding in found.items() if finding["level"] == "n/a"}
    # macOS does not count stolen time.
    assert unknown - {"stolen time"} == {
        "frequency", "turbo", "heat", "CPU limit", "memory limit", "GPU processes",
    }  # fmt: skip
    assert all(found[name]["value"] for name in unknown)


def test_the_clock_moves_on_and_reading_it_costs_something() -> None:
    step, cost = clock_resolution()
    assert 0 < step < 10**8
    assert cost > 0


@pytest.mark.parametrize(("noise", "lines"), [(0.05, 1), (0.01, 0), (None, 0)])
def test_a_run_on_a_noisy_machine_carries_a_warning(noise: float | None, lines: int) -> None:
    environment = {} if noise is None else {"doctor": {"noise": noise}}
    document: Any = {
        "status": "finished", "cases": [], "environment": environment,
        "measure": {"latency": {"precision": 0.02}},
    }  # fmt: skip
    found = caveats(document)
    assert len(found) == lines
    assert not found or "too noisy to measure latency to ±2 %" in found[0]
    assert caveats(document | {"measure": {"latency": None}}) == []
    assert caveats(document | {"measure": {}}) == []


@pytest.mark.slow
def test_the_program_prints_the_check_in_80_columns(
    seqbench_cli: Callable[..., CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = seqbench_cli("devices", "--check")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "repeatability" in done.stdout
    assert "teady enough for ±2 %" in done.stdout


def test_a_run_records_the_check_and_cost_at_each_length(
    seqbench_cli: Callable[..., CompletedProcess[str]], write_suite: Callable[[str], Path]
) -> None:
    suite = write_suite(
        """
        datasets: [{parity: {length: 4, train_size: 100}}]
        models: [{rnn: {hidden_size: 4}}]
        train: {epochs: 1, batch_size: 50}
        seeds: 1
        measure:
          latency: {budget: 100ms, batch_sizes: [1], processes: 2, warm_up: 50ms, seq_lens: [2, 8]}
          memory: {batch_size: 2}
        """
    )
    done = seqbench_cli("run", suite, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    check = document["environment"]["doctor"]
    assert check["noise"] == check["steadiness"]["noise"]
    assert {"name", "value", "level", "remedy"} == set(check["findings"][0])
    (case,) = document["cases"]
    assert [entry["length"] for entry in case["lengths"]] == [2, 4, 8]
    assert [entry["length"] for entry in case["latency"]] == [4, 2, 8]
    assert case["throughput"][0]["length"] == 4
    own = case["lengths"][1]
    assert own["macs"] == case["macs"]
    assert own["inference_bytes"] == case["memory"]["inference_bytes"]
    assert own["training_bytes"] == case["memory"]["training_bytes"]
    assert case["exponents"]["macs"] == pytest.approx(1, abs=0.1)
    assert case["ops"]
    assert case["warnings"] == []
    shown = seqbench_cli("show", "--memory")
    assert shown.returncode == 0, shown.stderr
    assert "growth with length" in shown.stdout
