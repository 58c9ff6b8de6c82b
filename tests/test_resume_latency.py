"""Resuming a run: when latency is measured again; contests are never mixed."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path

import pytest
from small_runs import TIMED_SUITE, called, finish, start

from seqbench import Run
from seqbench.machine.other_runs import timing
from seqbench.training.data import cache_dir


def latency_preview(folder: Path) -> str:
    """What a dry run prints about latency."""
    done = called(folder, "--resume", "--dry-run")
    assert done.returncode == 0, done.stderr
    return next(line for line in done.stdout.splitlines() if line.startswith("latency"))


@pytest.mark.slow
def test_latency_is_measured_again_only_if_cases_were_timed_apart(
    timed: Path, tmp_path: Path
) -> None:
    shutil.copytree(timed, tmp_path / "results" / "small" / timed.name)
    (run,) = tmp_path.glob("results/small/*")
    suite = tmp_path / "small.yaml"
    suite.write_text(textwrap.dedent(TIMED_SUITE))
    suite.write_text(textwrap.dedent(TIMED_SUITE).replace(", {gru: {hidden_size: 4}}", ""))
    assert finish(tmp_path, "--resume") == run
    assert (run / "run.log").read_text().count("latency: 1 to do") == 1
    suite.write_text(textwrap.dedent(TIMED_SUITE))
    assert latency_preview(tmp_path) == "latency: nothing would be timed"
    suite.write_text(textwrap.dedent(TIMED_SUITE).replace("models: [", "models: [lstm, "))
    assert latency_preview(tmp_path) == (
        "latency, would run: timing 3 cases on cpu, interleaved "
        "(again: lstm on parity is not measured yet)"
    )


@pytest.mark.slow
def test_two_runs_that_time_at_once_cause_a_warning(timed: Path, tmp_path: Path) -> None:
    shutil.copytree(timed, tmp_path / "results" / "small" / timed.name)
    (tmp_path / "small.yaml").write_text(textwrap.dedent(TIMED_SUITE))
    for path in tmp_path.glob("results/small/*/cases/*.json"):
        path.unlink()
    with timing(cache_dir()) as first:  # tests and the runs they start share a cache
        assert not first.others()
        process = start(tmp_path, "--resume")
        stdout, stderr = process.communicate(timeout=120)
        assert first.others()
    assert process.returncode == 0, stderr
    assert "another seqbench run was timing on this machine" in stderr
    (log,) = tmp_path.glob("results/small/*/run.log")
    assert "another seqbench run was timing on this machine" in log.read_text()
    assert "! Another seqbench run was timing on this machine" in stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("samples/gru-*.json.gz", "", "gru on parity has lost its samples"),
        ("comparisons/latency-cpu.json", "{}", "the comparisons are missing"),
        ("comparisons/latency-cpu.json", "{", "the comparisons are missing"),
    ],
)
def test_empty_or_damaged_samples_are_measured_again(
    timed: Path, tmp_path: Path, name: str, content: str, why: str
) -> None:
    shutil.copytree(timed, tmp_path / "results" / "small" / timed.name)
    (run,) = tmp_path.glob("results/small/*")
    (tmp_path / "small.yaml").write_text(textwrap.dedent(TIMED_SUITE))
    (path,) = run.glob(name)
    path.write_text(content)
    expected = f"timing 2 cases on cpu, interleaved (again: {why})"
    assert latency_preview(tmp_path) == f"latency, would run: {expected}"
    finish(tmp_path, "--resume")
    assert f"timing 2 cases on cpu, interleaved (again: {why}): ok" in (run / "run.log").read_text()


def timed_run(timed: Path, folder: Path, suite: str = TIMED_SUITE) -> Path:
    """A copy of a finished run, with its suite."""
    shutil.copytree(timed, folder / "results" / "small" / timed.name)
    (folder / "small.yaml").write_text(textwrap.dedent(suite))
    (run,) = folder.glob("results/small/*")
    return run


@pytest.mark.slow
def test_figures_of_two_contests_are_never_mixed(timed: Path, tmp_path: Path) -> None:
    """As if a runner had been killed while writing a second contest of the same cases."""
    run = timed_run(timed, tmp_path)
    old, other = sorted((run / "cases").glob("*.json"))
    before = old.read_text()
    next((run / "samples").glob("rnn-*")).unlink()
    finish(tmp_path, "--resume")
    assert old.read_text() != before
    old.write_text(before)  # from the first contest; its samples are from the second
    assert latency_preview(tmp_path).endswith("(again: gru on parity has lost its samples)")
    finish(tmp_path, "--resume")
    met = {job["met"] for path in (old, other) for job in json.loads(path.read_text())["jobs"]}
    (compared,) = (run / "comparisons").glob("*.json")
    assert met - {""} == {json.loads(compared.read_text())["met"]}


@pytest.mark.slow
def test_cases_timed_apart_are_timed_again_together(timed: Path, tmp_path: Path) -> None:
    run = timed_run(timed, tmp_path, TIMED_SUITE.replace(", {gru: {hidden_size: 4}}", ""))
    next((run / "samples").glob("rnn-*")).unlink()
    finish(tmp_path, "--resume")  # rnn alone
    (tmp_path / "small.yaml").write_text(textwrap.dedent(TIMED_SUITE))
    assert latency_preview(tmp_path).endswith("(again: the comparisons are missing)")


def test_comparisons_of_missing_figures_are_not_shown(timed: Path, tmp_path: Path) -> None:
    """As if a case had moved to another contest, because one contest would be too large."""
    run = timed_run(timed, tmp_path)
    compared = [one["met"] for one in Run.open(run).document["comparisons"] if one["met"]]
    assert compared
    (path,) = (run / "cases").glob("rnn-*")
    path.write_text(path.read_text().replace(compared[0], "00000000"))
    assert [one for one in Run.open(run).document["comparisons"] if one["met"]] == []
