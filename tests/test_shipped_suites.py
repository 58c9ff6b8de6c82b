"""Suites that ship with seqbench: listed, found by name, included by name; and `new suite`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT
from suite_registry import REGISTRY

import seqbench
from seqbench.cli import cli
from seqbench.errors import UsageError
from seqbench.suite.shipped import as_given, find_suite, shipped_names, shipped_suites
from seqbench.suite.validate import load_suite

BRIEF = ("--seeds", "1", "--set", "train.epochs=1", "--set", "measure=[accuracy]")


def test_each_shipped_suite_says_what_it_shows_and_needs() -> None:
    found = shipped_suites()
    assert {suite.name for suite in found} == {path.stem for path in ROOT.glob("suites/*.yaml")}
    for suite in found:
        assert suite.path == find_suite(suite.name) == ROOT / "suites" / f"{suite.name}.yaml"
        assert 20 < len(suite.description) < 100, suite.description
        assert "minute" in suite.needs
    needs = {suite.name: suite.needs for suite in found}
    assert "30 MB" in needs["fashion"]
    assert "seqbench-mingru" in needs["zoo"]


def test_suites_are_listed() -> None:
    done = CliRunner().invoke(cli, ["suites"])
    assert done.exit_code == 0, done.output
    assert "fashion-2020-control" in done.output
    assert "under a minute" in done.output


@pytest.mark.parametrize("path", ["mine.yaml", "mine.yml", "./quick", "suites/quick", "/quick"])
def test_a_text_with_a_slash_or_a_suffix_is_a_path(path: str) -> None:
    assert find_suite(path) == Path(path)
    assert find_suite(as_given(find_suite(path))) == Path(path)


def test_a_path_is_a_path_even_without_a_slash() -> None:
    assert find_suite(Path("quick")) == Path("quick")
    assert as_given(Path("quick")) == "./quick"
    assert as_given(find_suite("quick")) == "quick"


def test_an_unknown_name_is_refused_in_one_line(
    seqbench_cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = seqbench_cli("validate", "Fashon")
    assert done.returncode == 2
    assert done.stderr == (
        "error: unknown suite 'Fashon'; did you mean 'fashion'? "
        "(a file's path needs a slash or .yaml, as in mine.yaml)\n"
    )
    monkeypatch.chdir(tmp_path)
    Path("mine").touch()
    with pytest.raises(UsageError, match=r"available: fashion, .*as in \./mine"):
        find_suite("mine")
    with pytest.raises(UsageError, match="unknown suite ''"):
        seqbench.run("")


@pytest.mark.slow
def test_a_run_of_a_shipped_suite_is_resumed_by_its_name(
    seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    chosen = ("--model", "gru", "--dataset", "parity")
    done = seqbench_cli("run", "quick", *chosen, *BRIEF)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "results" / "quick").glob("2*")
    state = json.loads((folder / "run.json").read_text())
    assert state["file"] == "quick"
    (folder / "run.json").write_text(json.dumps({**state, "status": "interrupted"}))
    shown = " ".join(seqbench_cli("show").stdout.split())
    assert "`seqbench run quick --resume" in shown
    resumed = seqbench_cli("run", "quick", "--resume", folder, *chosen)
    assert resumed.returncode == 0, resumed.stderr


def test_a_shipped_suite_is_run_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = ["train.epochs=1", "measure=[accuracy]"]
    run = seqbench.run("quick", overrides=overrides, models="rnn", datasets="parity", seeds=1)
    assert run.ok
    assert run.path.parent == tmp_path / "results" / "quick"


def test_a_suite_includes_a_shipped_one_by_name(write_suite: Callable[[str], Path]) -> None:
    suite = load_suite(write_suite("include: fashion\nseeds: 8"), registry=REGISTRY)
    assert len(suite.seeds) == 8
    assert suite.name == "tiny"
    assert [entry.name for entry in suite.models] == ["rnn", "lstm", "gru"]


def test_the_shell_completes_names_of_suites() -> None:
    words = {"_SEQBENCH_COMPLETE": "bash_complete", "COMP_WORDS": "seqbench run fash"}
    program = [sys.executable, "-c", "from seqbench.cli import cli; cli(prog_name='seqbench')"]
    done = subprocess.run(
        program, env={**words, "COMP_CWORD": "2"}, capture_output=True, text=True, cwd=ROOT
    )
    found = done.stdout.split()
    assert found[0] == "file,fash"
    assert found[1:] == [f"plain,{name}" for name in shipped_names() if name.startswith("fash")]


@pytest.mark.slow
def test_a_new_suite_runs_as_it_is(seqbench_cli: Callable[..., Any], tmp_path: Path) -> None:
    made = seqbench_cli("new", "suite", "my-study", "--out", "studies")
    assert made.returncode == 0, made.stderr
    assert "seqbench run studies/my-study.yaml" in made.stdout
    valid = seqbench_cli("validate", "studies/my-study.yaml")
    assert valid.stdout == "studies/my-study.yaml: valid: 3 cases, 9 trials\n"
    tiny = ("--set", "datasets.0.adding.train_size=200", "--set", "measure.latency.budget=200ms")
    done = seqbench_cli("run", "studies/my-study.yaml", *BRIEF[:-2], *tiny)
    assert done.returncode == 0, done.stderr
    assert "my GRU" in done.stdout
    again = seqbench_cli("new", "suite", "my-study.yaml", "--out", "studies")
    assert again.returncode == 2
    assert "studies/my-study.yaml already exists; not overwritten" in again.stderr


@pytest.mark.parametrize(
    ("name", "reason"), [("quick", "is the name of a shipped suite"), ("a b", "letters"), ("", "")]
)
def test_a_new_suite_needs_a_name_of_its_own(
    name: str, reason: str, seqbench_cli: Callable[..., Any]
) -> None:
    done = seqbench_cli("new", "suite", name)
    assert done.returncode == 2
    assert reason in done.stderr


@pytest.mark.parametrize("name", ["true", "null", "1e5", "0x10", "2020-05-01"])
def test_a_new_suite_of_a_name_that_yaml_reads_otherwise_is_valid(
    name: str, tmp_path: Path
) -> None:
    from seqbench.plugins.scaffold.suite import write_suite as write

    assert load_suite(write(name, tmp_path), registry=REGISTRY).name == name
