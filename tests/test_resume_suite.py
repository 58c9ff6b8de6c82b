"""Resuming a run: how the run and its suite are found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqbench.errors import UsageError
from seqbench.runner.resume.suite import suite_of
from seqbench.store.run_folder import RunFolder
from seqbench.suite.shipped import find_suite


def test_a_folder_that_is_not_a_run_is_not_touched(
    finished: Path, suite: Path, tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    """Not even a folder with the name of the suite."""
    study = tmp_path / "small"
    (study / "sub").mkdir(parents=True)
    for name in ("suite.yaml", ".pre-commit-config.yaml", "sub/.env.local", "sub/a.partial"):
        (study / name).write_text(suite.read_text())
    before = sorted(study.rglob("*"))
    done = seqbench_cli("run", "small/suite.yaml", "--resume", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert str(finished.name) in done.stdout
    refused = seqbench_cli("run", "small.yaml", "--resume", "small/sub")
    assert refused.returncode == 2
    assert sorted(study.rglob("*")) == before


def test_a_run_knows_its_suite(finished: Path, seqbench_cli: Callable[..., Any]) -> None:
    done = seqbench_cli("run", "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == f"results/small/{finished.name}"
    done = seqbench_cli("run", "--resume", "small.yaml", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"resuming results/small/{finished.name}: 6 of 6 trials already" in done.stdout


def test_a_run_knows_its_suite_from_another_folder(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seqbench_cli: Callable[..., Any],
) -> None:
    """``finished`` is a copy: neither that, nor a suite of the same name here, misleads it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "small.yaml").write_text("name: small\nmodels: [nonsense]\n")
    command = ("run", "--resume", "--out", "../results", "--dry-run")
    done = seqbench_cli(*command, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "0 of 6 trials would run" in done.stdout
    monkeypatch.chdir(elsewhere)
    folder = RunFolder.open(finished)
    assert suite_of(folder).path == Path("../small.yaml")
    (tmp_path / "small.yaml").unlink()
    with pytest.warns(UserWarning, match="../small.yaml is gone: the run continues with the suite"):
        stored = suite_of(folder)
    assert (stored.path, stored.stem) == (Path("../small.yaml"), "small")
    assert stored.text == (finished / "suite.yaml").read_text()
    (finished / "suite.yaml").unlink()
    with pytest.raises(UsageError, match="name the suite: seqbench run SUITE --resume"):
        suite_of(folder)


def test_a_run_of_a_shipped_suite_knows_it(finished: Path) -> None:
    state = json.loads((finished / "run.json").read_text())
    (finished / "run.json").write_text(json.dumps({**state, "file": "quick"}))
    assert suite_of(RunFolder.open(finished)).path == find_suite("quick")


def test_a_run_needs_a_suite_or_a_run_to_resume(seqbench_cli: Callable[..., Any]) -> None:
    done = seqbench_cli("run")
    assert (done.returncode, "Missing argument 'SUITE'" in done.stderr) == (2, True)
    done = seqbench_cli("run", "--resume")
    assert (done.returncode, "no runs under" in done.stderr) == (2, True)
    done = seqbench_cli("run", "--resume", "nowhere.yaml")
    assert done.returncode == 2
