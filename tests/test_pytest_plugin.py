"""The fixture for plugin authors, used in a folder of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from conftest import runner_environment

from seqbench.errors import UsageError
from seqbench.testing.pytest_plugin import _time

TESTS = """
    import pytest

    @pytest.mark.parametrize("mode", ["inference", "training"])
    def test_speed(time_model, mode):
        time_model("gru", mode=mode, batch_size=2, length=5, hidden_size=4)
    """


def test_a_model_is_timed_through_pytest_benchmark(tmp_path: Path) -> None:
    (tmp_path / "test_speed.py").write_text(textwrap.dedent(TESTS))
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_speed.py",
        "--benchmark-json", "speed.json", "--benchmark-max-time", "0.1",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, env=runner_environment(tmp_path), capture_output=True, text=True
    )
    assert "2 passed" in done.stdout, done.stdout
    inference, training = json.loads((tmp_path / "speed.json").read_text())["benchmarks"]
    info = inference["extra_info"]
    assert info["model"] == "gru"
    assert info["params"]["hidden_size"] == 4
    assert (info["batch_size"], info["length"], info["threads"]) == (2, 5, 1)
    # Three gates, each a product with the input, one with the state; then the readout.
    assert info["macs"] == 5 * 3 * (3 * 4 + 4 * 4) + 4 * 4
    assert info["parameters"] == 3 * (3 * 4 + 4 * 4 + 2 * 4) + 4 * 4 + 4
    assert info["parameter_bytes"] == 4 * info["parameters"]
    assert training["extra_info"]["mode"] == "training"
    assert training["stats"]["median"] > inference["stats"]["median"]


@pytest.mark.parametrize("wrong", [{"mode": "pure"}, {"task": "features/classes"}])
def test_an_unknown_mode_or_task_is_reported(wrong: dict[str, Any]) -> None:
    with pytest.raises(
        UsageError, match=r"unknown (mode|task) .*; (available: |did you mean).*params="
    ):
        _time(None, "gru", **wrong)
