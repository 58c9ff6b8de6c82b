"""The fixture for plugin authors, used as they would: in a folder of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

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
    told = inference["extra_info"]
    assert told["model"] == "gru"
    assert told["params"]["hidden_size"] == 4
    assert (told["batch_size"], told["length"], told["threads"]) == (2, 5, 1)
    # Three gates, each a product with the input, one with the state; then the readout.
    assert told["macs"] == 5 * 3 * (3 * 4 + 4 * 4) + 4 * 4
    assert told["parameters"] == 3 * (3 * 4 + 4 * 4 + 2 * 4) + 4 * 4 + 4
    assert told["parameter_bytes"] == 4 * told["parameters"]
    assert training["extra_info"]["mode"] == "training"
    assert training["stats"]["median"] > inference["stats"]["median"]


@pytest.mark.parametrize("wrong", [{"mode": "pure"}, {"task": "features/labels"}])
def test_what_cannot_be_timed_is_said(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"is none of .*; a parameter of the model"):
        _time(None, "gru", **wrong)
