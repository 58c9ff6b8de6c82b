"""Listing runs, and deleting them, their weights or the cache."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import lay, runner_environment
from small_runs import begun

from seqbench.plan.expand import make_plan
from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.plugins.parameters import completed
from seqbench.records import TrialRecord
from seqbench.report.run import Run
from seqbench.store.deletion import delete_run
from seqbench.store.find import find_run, find_runs, short_ids
from seqbench.store.run_folder import RunFolder
from seqbench.suite.validate import load_suite
from seqbench.summary.overview import leader_of
from seqbench.training.cache import used
from seqbench.training.data import prepare_dataset

Cli = Callable[..., subprocess.CompletedProcess[str]]


def copy_of(run: Path, name: str) -> Path:
    copy = run.with_name(name)
    shutil.copytree(run, copy)
    return copy


def hashes(run: Path) -> dict[str, str]:
    return {record.id: record.weights_sha256 for record in Run.open(run).records}


# The list.


def test_the_list_shows_duration_device_and_the_best_row(finished: Path, seqbench_cli: Cli) -> None:
    means = {case["label"]: case["metric"]["mean"] for case in Run.open(finished).document["cases"]
             if case["metric"]}  # fmt: skip
    best = max(means, key=means.__getitem__)
    for width in (80, 160):
        lines = seqbench_cli("list", COLUMNS=str(width)).stdout.splitlines()
        assert max(map(len, lines)) <= width
        row = lines[1].split()
        assert row[:4] == [finished.name[-4:], "small", "finished", "6/6"]
        assert f"{100 * means[best]:.1f} % {best}" in lines[1]
        assert "cpu" in "\n".join(lines)
        assert " s " in lines[1]


def test_the_list_says_why_there_is_no_best_row(finished: Path, seqbench_cli: Cli) -> None:
    for path in (finished / "trials").glob("*.json"):
        record = json.loads(path.read_text())
        record.update(status="diverged", reason="loss became NaN")
        path.write_text(json.dumps(record))
    (row,) = seqbench_cli("list").stdout.splitlines()[1:]
    assert "n/a: trials failed in every case" in row
    assert row.split()[3:5] == ["6/6", "6"]


def test_a_case_with_a_failed_trial_does_not_lead(finished: Path) -> None:
    folder = RunFolder.open(finished)
    plan, trials = folder.plan(), list(folder.trials())
    best = next(one for one in trials if one.id.startswith(leader_of(plan, trials).label))
    failed = [type(one)(**{**vars(one), "status": "failed"}) if one is best else one
              for one in trials]  # fmt: skip
    assert leader_of(plan, failed).label != leader_of(plan, trials).label


def test_the_list_is_filtered_and_shows_the_newest(finished: Path, seqbench_cli: Cli) -> None:
    others = [
        copy_of(finished, f"20990101T0000{second:02d}Z-00{second:02x}") for second in range(22)
    ]
    RunFolder(others[0]).set_state("interrupted")
    shown = seqbench_cli("list", "-q")
    assert shown.stdout.split() == [run.name[-4:] for run in others[2:]]
    assert "3 older runs not listed" in shown.stderr
    assert len(seqbench_cli("list", "-q", "--all").stdout.split()) == 23
    assert seqbench_cli("list", "-q", "--status", "interrupted").stdout.split() == ["0000"]
    assert "none of the 23 runs" in seqbench_cli("list", "--suite", "smal").stdout
    assert len(seqbench_cli("list", "-q", "--suite", "sm*").stdout.split()) == 20


def test_every_id_that_is_shown_is_accepted(finished: Path, tmp_path: Path) -> None:
    names = ["20990101T000000.123Z-3f2a", "20990101T000000.456Z-3f2a", "20990101T000001.456Z-3f2a",
             "mine", "small"]  # fmt: skip
    for name in names:
        copy_of(finished, name)
    results = tmp_path / "results"
    ids = short_ids(find_runs(results))
    assert [ids[finished.with_name(name)] for name in names] == [
        "123Z-3f2a", names[1], names[2], "mine", "small/small"
    ]  # fmt: skip
    for run, short in ids.items():
        assert find_run(results, short) == run


# Deleting runs.


def test_rm_deletes_runs_and_nothing_else(
    finished: Path, tmp_path: Path, seqbench_cli: Cli
) -> None:
    kept, other = copy_of(finished, "kept"), copy_of(finished, "other")
    treasure = tmp_path / "treasure"
    shutil.copytree(finished, treasure)
    finished.with_name("link").symlink_to(treasure)
    (other / "logs" / "outside").symlink_to(treasure)
    size = sum(path.lstat().st_size for path in finished.rglob("*") if path.is_file())
    tried = seqbench_cli("rm", finished.name[-4:], "--dry-run")
    assert "nothing was deleted" in tried.stdout
    assert f"{size / 1024:.1f} KiB" in tried.stdout
    assert "pass --yes" in seqbench_cli("rm", finished).stderr
    linked = seqbench_cli("rm", "--yes", finished.with_name("link"), "other")
    assert (linked.returncode, len(linked.stderr.splitlines())) == (1, 1)
    assert "is a symbolic link" in linked.stderr
    refused = seqbench_cli("rm", "--yes", "small", "")
    assert refused.returncode == 2
    assert "'small' is a suite" in refused.stderr
    assert seqbench_cli("rm", "--yes", tmp_path).returncode == 2
    assert finished.exists()
    assert other.exists()
    done = seqbench_cli("rm", "--yes", finished.name[-4:], "small/other", other)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("deleted") == 2
    assert done.stdout.endswith("KiB freed\n")
    assert set(finished.parent.iterdir()) == {kept, finished.with_name("link")}
    assert Run.open(treasure).ok


def test_a_run_in_use_is_not_deleted(finished: Path, seqbench_cli: Cli) -> None:
    other = copy_of(finished, "other")
    with RunFolder(finished).locked():
        for option in ((), ("--weights",), ("--samples", "--dry-run")):
            done = seqbench_cli("rm", "--yes", "other", finished.name, *option)
            assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
            assert "is in use by another seqbench process" in done.stderr
    assert Run.open(other).ok
    assert Run.open(finished).ok


def test_a_run_that_is_deleted_only_in_part_is_no_run(
    finished: Path, seqbench_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy_of(finished, "other")

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            delete_run(finished)
    (left,) = set(other.parent.iterdir()) - {other}
    assert (left / "run.json").exists()
    assert seqbench_cli("list", "-q").stdout.split() == ["other"]
    assert seqbench_cli("show", left).returncode == 2
    assert seqbench_cli("rm", "--yes", left).returncode == 2
    assert seqbench_cli("rm", "--yes", "other").returncode == 0
    assert list(other.parent.iterdir()) == []


def test_rm_asks_on_a_terminal(finished: Path, tmp_path: Path) -> None:
    for answer, code, there in (("n", 0, True), ("y", 0, False)):
        terminal, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "seqbench", "rm", finished.name], cwd=tmp_path, stdin=theirs,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=runner_environment(tmp_path),
        )  # fmt: skip
        os.write(terminal, f"{answer}\n".encode())
        stdout, stderr = process.communicate(timeout=60)
        os.close(theirs)
        os.close(terminal)
        assert b"Delete 1 run (" in stderr
        assert (b"nothing was deleted" in stdout) is there
        assert (process.returncode, finished.exists()) == (code, there)


# Deleting weights and samples.


def test_without_weights_and_samples_a_run_is_shown_and_is_complete(
    timed: Path, tmp_path: Path, seqbench_cli: Cli
) -> None:
    run = tmp_path / "results" / "small" / timed.name
    shutil.copytree(timed, run)
    shutil.copy(timed.parents[2] / "small.yaml", tmp_path)
    shown, before = seqbench_cli("show").stdout, Run.open(run).document
    done = seqbench_cli("rm", "--yes", "--weights", "--samples", run.name)
    assert done.returncode == 0, done.stderr
    assert "weights: all results stay; to measure anything else, --resume retrains" in done.stdout
    assert not list((run / "weights").iterdir()) + list((run / "samples").iterdir())
    assert seqbench_cli("show").stdout == shown
    assert Run.open(run).document == before
    trials = begun(run)
    again = seqbench_cli("run", "--resume", run)
    assert again.returncode == 0
    assert "6 of 6 trials already done" in again.stderr
    assert "warning" not in again.stderr
    assert begun(run) == trials
    assert not list((run / "samples").iterdir())


CHANGED = ("run", "--resume", "--set", "measure.memory.batch_size=16")


def test_removed_weights_that_are_needed_are_trained_again_and_this_is_said(
    finished: Path, seqbench_cli: Cli
) -> None:
    before, trials = hashes(finished), begun(finished)
    seqbench_cli("rm", "--yes", "--weights", finished.name)
    done = seqbench_cli(*CHANGED)
    assert done.returncode == 0, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if "weights were removed" in line]
    assert "2 trials of 6 run again" in said
    after = begun(finished)
    again = {trial for trial in trials if after[trial] != trials[trial]}
    assert again == {trial for trial in trials if trial.endswith("-s0")}  # whose memory is measured
    assert hashes(finished) == before
    assert {path.stem for path in (finished / "weights").iterdir()} == again
    listed = RunFolder(finished).removed.names()
    assert listed == {f"weights/{trial}.safetensors" for trial in trials.keys() - again}


def test_a_result_is_not_lost_if_it_cannot_be_trained_again(
    finished: Path, seqbench_cli: Cli
) -> None:
    before = {record.id: record for record in Run.open(finished).records}
    seqbench_cli("rm", "--yes", "--weights", finished.name)
    done = seqbench_cli(*CHANGED, "--set", "limits.time=1ms")
    ended = re.findall(r"([\w-]+): not trained again: timeout", " ".join(done.stderr.split()))
    assert ended
    # A trial may have written its weights, the same as before, when the limit ends it.
    gone = [trial for trial in ended if not (finished / f"weights/{trial}.safetensors").exists()]
    assert done.returncode == bool(gone)
    assert {record.id: record for record in Run.open(finished).records} == before
    assert {trial["status"] for trial in Run.open(finished).document["trials"]} == {"ok"}


@pytest.mark.slow
def test_a_dry_run_says_which_removed_weights_are_needed(finished: Path, seqbench_cli: Cli) -> None:
    seqbench_cli("rm", "--yes", "--weights", finished.name)
    unchanged = seqbench_cli("run", "--resume", "--dry-run").stdout
    assert unchanged.count("keep  ok (weights removed)") == 6
    assert "0 of 6 trials would run" in unchanged
    planned = seqbench_cli(*CHANGED, "--dry-run").stdout
    assert planned.count("its weights were removed, and a missing measurement needs them") == 2
    assert "4 of 6 trials already done" in planned
    assert "2 of 6 trials would run" in planned


# The suite's key keep.


def test_a_suite_keeps_the_best_weights_of_each_case(finished: Path, seqbench_cli: Cli) -> None:
    trials, by_case = begun(finished), dict[str, list[TrialRecord]]()
    for record in Run.open(finished).records:
        by_case.setdefault(record.case, []).append(record)
    best = {max(records, key=lambda one: one.metrics["value"]).id for records in by_case.values()}
    done = seqbench_cli("run", "--resume", "--set", "keep={weights: best, samples: none}")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert {path.stem for path in (finished / "weights").iterdir()} == best
    assert len(RunFolder(finished).removed.names()) == 4
    assert begun(finished) == trials


def test_keep_is_part_of_the_plan_only_if_it_is_given(suite: Path) -> None:
    registry = load_plugins()
    plans = []
    for text in ("", "keep: {weights: all}\n", "keep: {weights: best, samples: none}\n"):
        path = suite.with_name("other.yaml")
        path.write_text(suite.read_text() + text)
        plans.append(make_plan(load_suite(path, registry=registry), registry).to_dict())
    assert plans[0] == plans[1]
    assert plans[2].pop("keep") == {"weights": "best", "samples": "none", "answers": 10**8}
    assert plans[0] == plans[2]


def test_after_a_failure_everything_is_kept(
    finished: Path, tmp_path: Path, seqbench_cli: Cli
) -> None:
    path = next((finished / "trials").glob("*.json"))
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "status": "timeout", "reason": "too slow"}))
    done = seqbench_cli("run", "--resume", "--set", "keep.weights=none")
    assert "not everything succeeded, so no weights, samples or answers are removed" in done.stderr
    assert len(list((finished / "weights").iterdir())) == 6


# The cache.


def test_the_cache_is_shown_and_deleted(tmp_path: Path, seqbench_cli: Cli) -> None:
    cache = tmp_path / "cache"

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return seqbench_cli("cache", *arguments, SEQBENCH_CACHE=str(cache))

    assert "nothing in" in call().stdout
    offer = load_plugins().dataset("parity")
    choice = Choice.of(offer, completed({"length": 4, "train_size": 50}, offer.spec.parameters))
    prepared = prepare_dataset(choice, cache=cache, data_dir=None, say=print)
    lay(cache, {"downloads/mnist/images": "0" * 2048, "mine": "", "prepared/mine": ""})
    os.utime(prepared, (0, 0))
    shown = call().stdout
    assert f"{prepared.stem}  length=4, train_size=50" in shown
    assert "1970-01-01" in shown
    assert "downloads/mnist" in shown
    assert "2.00 KiB" in shown
    assert "mine" not in shown
    for arguments, problem in (
        (("--yes",), "name what to delete"),
        (("--yes", "party"), "did you mean 'parity'?"),
        (("parity",), "pass --yes"),
    ):
        refused = call("rm", *arguments)
        assert (refused.returncode, problem in refused.stderr) == (2, True)
    with used([str(prepared.relative_to(cache))], cache):
        busy = call("rm", "--yes", "--all")
    assert (busy.returncode, len(busy.stderr.splitlines())) == (2, 1)
    assert f"in use, or being written within the last hour: {prepared.stem}" in busy.stderr
    assert "1970-01-01" not in call().stdout
    assert call("rm", "--yes", "parity").returncode == 0
    assert not prepared.exists()
    assert "2.00 KiB freed" in call("rm", "--yes", "--all").stdout
    assert {path.name for path in cache.rglob("*")} == {"prepared", "downloads", "mine"}


def test_what_a_running_run_uses_stays_in_the_cache(
    slow_run: subprocess.Popen[str], seqbench_cli: Cli
) -> None:
    done = seqbench_cli("cache", "rm", "--yes", "parity")
    assert done.returncode == 2
    assert "in use, or being written within the last hour: parity-" in done.stderr
