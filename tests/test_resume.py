"""An interrupted, killed or damaged run keeps its results, bit for bit."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
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
    SUITE,
    TIMED_SUITE,
    begun,
    called,
    finish,
    start,
    wait_for,
    wait_until_running,
)

from seqbench.measure.latency.figures import Samples
from seqbench.plan.expand import make_plan
from seqbench.plugins.discovery import load_plugins
from seqbench.runner.resume.moved import moved_trials
from seqbench.store.files import read_compressed
from seqbench.store.find import find_run, find_runs
from seqbench.store.run_folder import RunFolder
from seqbench.suite.validate import parse_suite

#: Fields of a record that differ between runs: times and file stamps.
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
    """The measurements of every case without figures that vary, and which cases were compared.

    Checks that the latency figures follow from the samples.
    """
    found: dict[str, Any] = {}
    precision = json.loads((run / "plan.json").read_text())["measure"]["latency"]["precision"]
    for path in sorted((run / "cases").glob("*.json")):
        record = json.loads(path.read_text())
        samples = Samples.read(run / "samples" / f"{path.stem}.json.gz")
        figures = list(samples.measurements(f"samples/{path.stem}.json.gz", precision))
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
def test_after_kills_at_any_moment_records_equal_those_of_an_undisturbed_run(
    timed: Path, tmp_path: Path, kills: int
) -> None:
    """SIGKILL at random moments, each time possibly with a torn file. If the run finishes anyway,
    a new one starts.
    """
    (tmp_path / "small.yaml").write_text(textwrap.dedent(TIMED_SUITE))
    expected = records(timed), measured(timed)
    longest = json.loads((timed / "run.json").read_text())["seconds"]
    seed = random.randrange(10**6)
    print("seed", seed)  # shown on failure
    draw = random.Random(seed)
    for _ in range(kills):
        runs = [path.parent for path in tmp_path.glob("results/small/*/run.json")]
        process = start(tmp_path, *(["--resume"] if runs else []))
        if draw.random() < 0.9:  # otherwise while it starts
            wait_until_running(tmp_path, process)
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


def test_an_interrupted_contest_loses_no_samples(timed: Path, tmp_path: Path) -> None:
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


def environment_of(process: Path) -> bytes:
    """The environment of a process, given its folder in /proc; empty if it has ended."""
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
@pytest.mark.parametrize("everything", [False, True], ids=["runner", "everything"])
def test_a_stop_does_not_count_as_time_of_a_trial(
    everything: bool, site: Path, suite: Path, tmp_path: Path
) -> None:
    """The runner alone (Ctrl-Z) or all processes (``docker pause``), for longer than the limit."""
    slow = FLAKY.replace('raise ValueError("bad weather")', "import time; time.sleep(0.1)")
    install(site, "flaky", {"flaky": FLAKY_SPEC, "flaky_layer": slow}, "flaky = flaky")
    (tmp_path / "bad").touch()
    suite.write_text(suite.read_text().replace("{rnn: {hidden_size: 4}}, ", "flaky, "))
    options = ("--model", "flaky", "--seeds", "1", "--set", "limits.time=8s", "--set",
               "train.epochs=1", "--set", "measure=[accuracy]", "--json")  # fmt: skip
    process = start(tmp_path, *options)
    logs = tmp_path.rglob
    wait_for(lambda: any("train: 1" in log.read_text() for log in logs("run.log")), process)
    own = f"SEQBENCH_TEST={tmp_path}".encode()
    found = [path for path in Path("/proc").glob("[0-9]*") if own in environment_of(path)]
    stopped = [int(path.name) for path in found] if everything else [process.pid]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if number == signal.SIGSTOP:
            time.sleep(9)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["trials"][0]["status"] == "ok"


def test_damaged_results_are_reported_and_run_again(
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
    done = called(tmp_path, "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert "training: 3 trials" in done.stderr
    assert records(finished) == records(undisturbed)
    for path in (torn, case):
        assert f"warning: {path.relative_to(tmp_path)} is not valid JSON" in done.stderr
        assert path.with_suffix(".damaged").exists()
    assert done.stderr.count("set aside as") == 2
    assert "its weights are damaged; it will run again" in done.stderr
    assert "its weights are missing; it will run again" in done.stderr
    assert len(list((finished / "cases").glob("*.json"))) == 2


def rename_cases(run: Path) -> None:
    """Change a run as if an earlier protocol had made it: its cases have other ids."""
    plan = (run / "plan.json").read_text()
    ids = {case["id"]: case["id"][:-3] + "old" for case in json.loads(plan)["cases"]}
    for folder in ("trials", "cases", "comparisons", "weights", "."):
        for path in (path for path in (run / folder).glob("*.*") if path.is_file()):
            name = path.name
            for now, before in ids.items():
                name = name.replace(now, before)
                if path.suffix == ".json":
                    path.write_text(path.read_text().replace(now, before))
            path.rename(path.with_name(name))


def move_packages(run: Path) -> None:
    """Change a run as if its packages had been elsewhere, so that its cases have other ids."""
    rename_cases(run)
    moved = json.loads((run / "plan.json").read_text())
    for case in moved["cases"]:
        for choice in (case["model"], case["dataset"]):
            choice["target"] = f"elsewhere.{choice['target']}"
    (run / "plan.json").write_text(json.dumps(moved))


@pytest.mark.slow
def test_a_run_whose_packages_have_moved_is_retrained_and_this_is_reported(
    finished: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """Also if the resumed run is interrupted."""
    move_packages(finished)
    warning = "packages that have moved or changed since; they run again"
    preview = start(tmp_path, "--resume", "--dry-run").communicate(timeout=240)
    assert f"{finished.relative_to(tmp_path)}: 6 of its 6 trials used models" in preview[1]
    interrupted = start(tmp_path, "--resume")
    wait_for(lambda: len(list(finished.glob("trials/*.json"))) > 6, interrupted)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.communicate(timeout=240)[1].count(warning) == 1
    left = 12 - len(list(finished.glob("trials/*.json")))
    done = called(tmp_path, "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(warning) == (left > 0)
    document = json.loads(done.stdout)
    assert [trial["status"] for trial in document["trials"]] == ["ok"] * 6
    assert document["unplanned"] == 6
    new = {name: one for name, one in records(finished).items() if "old" not in name}
    assert new == records(undisturbed)
    log = (finished / "run.log").read_text()
    same = re.findall(r"\S+-s\d: weights are the same as those of [\w-]+old-s\d", log)
    assert len(set(same)) == 6  # the second resume may repeat them


def test_a_results_folder_that_disappears_is_reported(
    slow_run: subprocess.Popen[str], tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "results")
    (tmp_path / "bad").unlink()  # so that the other trials end soon
    _, stderr = slow_run.communicate(timeout=60)
    assert slow_run.returncode == 1
    assert "error: cannot write " in stderr
    assert "No such file or directory" in stderr
    assert "Traceback" not in stderr
    assert processes_of(tmp_path) == []


@pytest.mark.slow
def test_a_full_disk_keeps_the_results_so_far(suite: Path, tmp_path: Path) -> None:
    """On a separate, almost full disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user cannot mount a disk")
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


def test_an_unwritable_results_folder_is_reported(suite: Path, tmp_path: Path) -> None:
    """Even root cannot create a folder below a file."""
    (tmp_path / "file").touch()
    done = called(tmp_path, "--out", "file/results")
    assert done.returncode == 1
    assert "error: cannot create file/results: " in done.stderr
    assert "Not a directory; choose another folder with --out" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_read_only_disk_shows_its_runs_and_refuses_new_ones(
    finished: Path, tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    disk = tmp_path / "results"
    mount = ["mount", "--bind", "-r", str(disk), str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user cannot mount a disk")
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


def test_a_clock_that_is_set_back_loses_no_run(
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
    # Copies have no time in their names, and links are not further runs.
    shutil.copytree(finished, finished.parent / "old-baseline")
    (finished.parent / "latest").symlink_to(made[0].name)
    (results / "link").symlink_to("small")
    assert set(find_runs(results)) == {*made, finished, finished.parent / "old-baseline"}
    assert find_runs(results)[0].name == "old-baseline"
    assert find_run(results, "small") == finished


def test_a_killed_run_is_listed_as_killed(finished: Path, seqbench_cli: Callable[..., Any]) -> None:
    folder = RunFolder(finished)
    folder.set_state("running")
    assert " killed " in seqbench_cli("list").stdout
    assert "This run was killed" in seqbench_cli("show").stdout
    with folder.locked():
        assert " running " in seqbench_cli("list").stdout


def test_a_run_with_torn_files_can_be_resumed(
    finished: Path, undisturbed: Path, tmp_path: Path
) -> None:
    for name in ("run.json", "plan.json", "environment.json"):
        (finished / name).write_text("{")
    done = called(tmp_path, "--resume", "--json")
    assert done.returncode == 0, done.stderr
    for name in ("run.json", "plan.json", "environment.json"):
        assert f"{name} is not valid JSON" in done.stderr
        json.loads((finished / name).read_text())
    assert json.loads(done.stdout)["status"] == "finished"
    assert begun(finished) == begun(undisturbed)


@pytest.mark.slow
def test_a_results_folder_that_disappears_during_timing_is_not_blamed_on_a_model(
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


@pytest.mark.slow
def test_a_run_of_an_earlier_protocol_is_retrained_and_this_is_reported(
    finished: Path, tmp_path: Path
) -> None:
    """Its figures are not comparable with new ones."""
    rename_cases(finished)
    stdout, stderr = start(tmp_path, "--resume", "--dry-run").communicate(timeout=240)
    warning = "6 of its 6 trials were run with an earlier protocol of seqbench, so their figures"
    assert f"{finished.relative_to(tmp_path)}: {warning}" in stderr
    assert stdout.count("it was run with an earlier protocol of seqbench") == 6
    done = called(tmp_path, "--resume", "--json")
    assert warning in done.stderr
    assert json.loads(done.stdout)["unplanned"] == 6
    log = (finished / "run.log").read_text()
    same = re.findall(r"\S+-s\d: weights are the same as those of [\w-]+old-s\d", log)
    assert len(set(same)) == 6  # the second resume may repeat them


def test_a_trial_with_other_settings_has_not_moved(undisturbed: Path) -> None:
    """Only the package may differ: other settings are a reason of their own."""
    folder = RunFolder(undisturbed)
    before = folder.plan()
    plan = make_plan(parse_suite(textwrap.dedent(SUITE), registry=load_plugins()), load_plugins())
    plan = plan.on({"cpu": ""})
    for trial in before["trials"]:
        trial["case"] += "-old"
    for case in before["cases"]:
        case["id"] += "-old"
        case["model"]["source"] = "0123456789"
    assert len(moved_trials(plan, before)) == len(plan.trials)
    for case in before["cases"]:
        case["train"]["batch_size"] += 1
    assert moved_trials(plan, before) == {}
