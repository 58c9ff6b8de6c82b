"""A run that was ended, however roughly, keeps what was earned to the bit."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
from conftest import install, processes_of
from small_runs import (
    FLAKY,
    FLAKY_SPEC,
    TIMED_SUITE,
    begun,
    finish,
    start,
    wait_for,
    wait_until_at_work,
)

from seqbench.measure.latency.samples import Samples
from seqbench.records import TrialRecord
from seqbench.store.files import read_compressed
from seqbench.store.find import find_run, find_runs
from seqbench.store.run_folder import RunFolder

#: Fields of a record that tell of time, or of where it was.
TIMED = ("started", "seconds", "attempts", "weights_stamp")


def records(run: Path) -> dict[str, Any]:
    """All trial records without times, and the weights."""
    found: dict[str, Any] = {}
    for path in sorted((run / "trials").glob("*.json")):
        record = {k: v for k, v in json.loads(path.read_text()).items() if k not in TIMED}
        record["curve"] = [{k: v for k, v in e.items() if k != "seconds"} for e in record["curve"]]
        found[path.name] = record, (run / record["weights"]).read_bytes()
    return found


def measured(run: Path) -> dict[str, Any]:
    """What was measured of every case, without the figures that differ each time; that latency is
    what its samples say; and which cases were held against each other.
    """
    found: dict[str, Any] = {}
    precision = json.loads((run / "plan.json").read_text())["measure"]["latency"]["precision"]
    for path in sorted((run / "cases").glob("*.json")):
        record = json.loads(path.read_text())
        held = Samples.read(run / "samples" / f"{path.stem}.json.gz")
        figures = list(held.measurements(f"samples/{path.stem}.json.gz", precision))
        n = record["jobs"][-1]["n"]
        stored = record["measurements"][-n:]
        assert json.loads(json.dumps([asdict(one) for one in figures])) == stored
        jobs = [{**job, "met": bool(job["met"])} for job in record["jobs"]]
        found[path.name] = jobs, [
            (one["quantity"], one["settings"], one["status"],
             one["values"] if one["quantity"] == "cost" else sorted(one["values"]))
            for one in record["measurements"]
        ]  # fmt: skip
    for path in sorted((run / "comparisons").glob("*.json")):
        pairs = json.loads(path.read_text())["comparisons"]
        found[path.name] = [(one["a"], one["b"], one["quantity"], one["n"]) for one in pairs]
    return found


@pytest.mark.parametrize(
    "kills", [1, pytest.param(50, marks=pytest.mark.slow)], ids=["one", "fifty"]
)
def test_whatever_the_moment_of_a_kill_the_records_are_those_of_an_undisturbed_run(
    timed: Path, tmp_path: Path, kills: int
) -> None:
    """Kills with SIGKILL at random moments; each time some file may be torn as well. Whenever the
    run comes to its end all the same, it begins anew.
    """
    (tmp_path / "small.yaml").write_text(textwrap.dedent(TIMED_SUITE))
    expected = records(timed), measured(timed)
    longest = json.loads((timed / "run.json").read_text())["seconds"]
    seed = random.randrange(10**6)
    print("seed", seed)  # shown where this fails
    draw = random.Random(seed)
    for _ in range(kills):
        runs = [path.parent for path in tmp_path.glob("results/small/*/run.json")]
        process = start(tmp_path, *(["--resume"] if runs else []))
        if draw.random() < 0.9:  # or else while it starts
            wait_until_at_work(tmp_path, process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0, longest))
        process.kill()
        _, stderr = process.communicate()
        assert "Traceback" not in stderr
        assert processes_of(tmp_path) == []
        assert not list(tmp_path.glob("tmp/seqbench-*"))
        assert not list(tmp_path.glob("tmp/pymp-*"))
        runs = [path.parent for path in tmp_path.glob("results/small/*/run.json")]
        if not runs:
            continue
        (run,) = runs
        if process.returncode == 0:
            assert (records(run), measured(run)) == expected
            shutil.rmtree(run)
            continue
        files = sorted(path for path in run.rglob("*") if path.is_file())
        if draw.random() < 0.5:
            torn = draw.choice(files)
            torn.write_bytes(torn.read_bytes()[: draw.randrange(torn.stat().st_size + 1)])
    runs = list(tmp_path.glob("results/small/*/run.json"))
    run = finish(tmp_path, *(["--resume"] if runs else []))
    assert (records(run), measured(run)) == expected
    names = [path.name for path in run.rglob("*")]
    assert not [name for name in names if name.startswith(".") or "partial" in name]
    assert not [name for name in names if "unfinished" in name]


def test_of_an_interrupted_contest_no_sample_is_lost(timed: Path, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(textwrap.dedent(TIMED_SUITE))
    shutil.copytree(timed, tmp_path / "results" / "small" / timed.name)
    (run,) = tmp_path.glob("results/small/*")
    for path in (run / "cases").glob("*.json"):
        path.unlink()  # as if nothing had been measured
    process = start(tmp_path, "--resume")
    unfinished = run / "samples" / "latency-cpu.unfinished.json.gz"
    wait_for(unfinished.exists, process)
    process.kill()
    process.communicate()
    kept = read_compressed(unfinished)
    assert finish(tmp_path, "--resume") == run
    assert not unfinished.exists()
    for case, samples in kept["samples"].items():
        blocks = Samples.read(run / "samples" / f"{case}.json.gz").blocks
        assert blocks[: len(samples["blocks"])] == samples["blocks"]
        assert {block["process"] for block in blocks} == {0, 1, 2}
    assert measured(run) == measured(timed)


@pytest.mark.slow
def test_a_trial_that_ended_while_its_runner_stood_still_is_kept(
    site: Path, suite: Path, tmp_path: Path
) -> None:
    """Stopped (Ctrl-Z) beyond the trial's limit."""
    slow = FLAKY.replace('raise ValueError("bad weather")', "import time; time.sleep(0.1)")
    install(site, "flaky", {"flaky": FLAKY_SPEC, "flaky_layer": slow}, "flaky = flaky")
    (tmp_path / "bad").touch()
    suite.write_text(suite.read_text().replace("{rnn: {hidden_size: 4}}, ", "flaky, "))
    options = ("--model", "flaky", "--seeds", "1", "--set", "limits.time=8s", "--set",
               "train.epochs=1", "--set", "measure=[accuracy]", "--json")  # fmt: skip
    process = start(tmp_path, *options)
    logs = tmp_path.rglob
    wait_for(lambda: any("train: 1" in log.read_text() for log in logs("run.log")), process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(9)
    process.send_signal(signal.SIGCONT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["trials"][0]["status"] == "ok"


def test_what_is_damaged_is_done_again_and_that_is_said(
    finished: Path, undisturbed: Path, tmp_path: Path
) -> None:
    torn, *_ = trials = sorted(finished.glob("trials/*.json"))
    case = sorted(finished.glob("cases/*.json"))[0]
    flipped, gone = (finished / json.loads(path.read_text())["weights"] for path in trials[1:3])
    for path in (torn, case):
        path.write_text(path.read_text()[:100])
    data = bytearray(flipped.read_bytes())
    data[-1] ^= 1
    flipped.write_bytes(data)
    gone.unlink()
    process = start(tmp_path, "--resume", "--json")
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    assert "training: 3 trials" in stderr
    assert records(finished) == records(undisturbed)
    for path in (torn, case):
        assert f"warning: {path.relative_to(tmp_path)} is not valid JSON" in stderr
        assert path.with_suffix(".damaged").exists()
    assert stderr.count("set aside as") == 2
    assert "its weights are damaged; it does not count" in stderr
    assert "its weights are gone; it does not count" in stderr
    assert len(list((finished / "cases").glob("*.json"))) == 2


@pytest.mark.parametrize(
    "wrong",
    [{"scores": []}, {"scores": {"id": 3}}, {"scores": {"id": {"status": "ok", "reason": ""}}},
     {"weights_stamp": 5}, {"metrics": None}],
)  # fmt: skip
def test_a_record_that_holds_what_no_record_does_is_left_out(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    folder = RunFolder.create(tmp_path, "small", "", {"cases": [], "trials": []})
    folder.write_trial(TrialRecord("gru-1-s0", "gru-1", 0, "ok"))
    (path,) = folder.trial_files()
    assert [record.id for record in folder.trials()] == ["gru-1-s0"]
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    with pytest.warns(UserWarning, match="does not hold what a record does"):
        assert list(folder.trials()) == []


def test_a_results_folder_that_vanishes_is_named(
    slow_run: subprocess.Popen[str], tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "results")
    (tmp_path / "bad").unlink()  # the others end soon
    _, stderr = slow_run.communicate(timeout=60)
    assert slow_run.returncode == 1
    assert "error: cannot write " in stderr
    assert "No such file or directory" in stderr
    assert "Traceback" not in stderr
    assert processes_of(tmp_path) == []


def test_a_full_disk_keeps_what_was_earned(suite: Path, tmp_path: Path) -> None:
    """On a disk of its own, full but for a few pages."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a disk")
    try:
        process = start(tmp_path, "--out", "disk")
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "No space left on device" in stderr
        assert "Traceback" not in stderr
        assert "resume with: seqbench run small.yaml --out disk --resume disk/small/" in stderr
        for path in disk.glob("small/*/trials/*.json"):
            json.loads(path.read_text())
        subprocess.run([*mount[:4], "remount,size=100m", *mount[5:]], check=True)
        assert len(begun(finish(tmp_path, "--out", "disk", "--resume"))) == 6
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_place_that_cannot_be_written_is_named(suite: Path, tmp_path: Path) -> None:
    """Whoever runs this may be allowed to write anywhere, but to no folder below a file."""
    (tmp_path / "file").touch()
    process = start(tmp_path, "--out", "file/results")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: cannot make file/results: " in stderr
    assert "Not a directory; name another place with --out" in stderr
    assert "Traceback" not in stderr


def test_a_disk_that_may_only_be_read_shows_its_runs_and_takes_no_others(
    finished: Path, tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    disk = tmp_path / "results"
    mount = ["mount", "--bind", "-r", str(disk), str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a disk")
    try:
        assert seqbench_cli("show").returncode == 0
        for arguments in ((), ("--resume",)):
            process = start(tmp_path, *arguments)
            _, stderr = process.communicate(timeout=60)
            assert process.returncode == 1
            assert "Read-only file system" in stderr
            assert "Traceback" not in stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_clock_that_is_set_back_costs_no_run(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Earlier(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Earlier:
            return cls(2001, 1, 1, tzinfo=tz)

    monkeypatch.setattr("seqbench.store.run_folder.datetime", Earlier)
    results = tmp_path / "results"
    plan = RunFolder(finished).plan()
    made = [RunFolder.create(results, "small", "", plan).path for _ in range(3)]
    assert len({*made, finished}) == 4
    assert set(find_runs(results)) == {*made, finished}
    assert find_run(results, "small") == finished


def test_a_killed_run_is_listed_as_such(finished: Path, seqbench_cli: Callable[..., Any]) -> None:
    folder = RunFolder(finished)
    folder.set_state("running")
    assert " killed " in seqbench_cli("list").stdout
    assert "This run was killed" in seqbench_cli("show").stdout
    with folder.locked():
        assert " running " in seqbench_cli("list").stdout


def test_a_run_whose_own_files_are_torn_is_gone_on_with(
    finished: Path, undisturbed: Path, tmp_path: Path
) -> None:
    for name in ("run.json", "plan.json", "environment.json"):
        (finished / name).write_text("{")
    process = start(tmp_path, "--resume", "--json")
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    for name in ("run.json", "plan.json", "environment.json"):
        assert f"{name} is not valid JSON" in stderr
        json.loads((finished / name).read_text())
    assert json.loads(stdout)["status"] == "finished"
    assert begun(finished) == begun(undisturbed)


def test_a_results_folder_that_vanishes_while_it_is_timed_is_no_fault_of_a_model(
    timed: Path, tmp_path: Path
) -> None:
    shutil.copytree(timed, tmp_path / "results" / "small" / timed.name)
    (run,) = tmp_path.glob("results/small/*")
    (tmp_path / "small.yaml").write_text(textwrap.dedent(TIMED_SUITE))
    for path in (run / "cases").glob("*.json"):
        path.unlink()
    process = start(tmp_path, "--resume")
    wait_for((run / "samples" / "latency-cpu.unfinished.json.gz").exists, process)
    (tmp_path / "results").rename(tmp_path / "away")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "while being timed" not in stderr
    assert "resume with" not in stderr
    assert not (tmp_path / "results").exists()
