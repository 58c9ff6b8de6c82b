"""A run that was ended, however roughly, is gone on with: what was earned is kept to the bit."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
from conftest import install, processes_of, runner_environment

from seqbench.measure.figures import Samples, read_compressed
from seqbench.store import RunFolder, find_run, find_runs

SUITE = """
    name: small
    datasets: [{parity: {length: 4, train_size: 400, validation_size: 50, test_size: 50}}]
    models: [{rnn: {hidden_size: 4}}, {gru: {hidden_size: 4}}]
    train: {epochs: 3, batch_size: 20}
    seeds: 3
    measure: {accuracy: , memory: {batch_size: 8}}
    """
TIMED_SUITE = SUITE.replace(
    "memory: {batch_size: 8}",
    "memory: {batch_size: 8}, latency: {batch_sizes: [1], budget: 1s, processes: 3, warm_up: 10ms}",
)
#: Fields of a record that tell of time, or of where it was.
TIMED = ("started", "seconds", "attempts")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(textwrap.dedent(SUITE))
    return path


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "seqbench", "run", "small.yaml", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=runner_environment(folder), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(folder: Path, *arguments: str) -> Path:
    """Runs to the end; returns the run's folder."""
    process = start(folder, "--json", *arguments)
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    return folder / str(json.loads(stdout)["run"])


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
        found[path.name] = record["jobs"], [
            (one["quantity"], one["settings"], one["status"],
             one["values"] if one["quantity"] == "cost" else sorted(one["values"]))
            for one in record["measurements"]
        ]  # fmt: skip
    for path in sorted((run / "comparisons").glob("*.json")):
        pairs = json.loads(path.read_text())["comparisons"]
        found[path.name] = [(one["a"], one["b"], one["quantity"], one["n"]) for one in pairs]
    return found


def begun(run: Path) -> dict[str, str]:
    """When each recorded trial was started."""
    return {p.stem: json.loads(p.read_text())["started"] for p in (run / "trials").glob("*.json")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "small.yaml").write_text(textwrap.dedent(SUITE))
    return finish(folder)


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``undisturbed``, and latency as well."""
    folder = tmp_path_factory.mktemp("timed")
    (folder / "small.yaml").write_text(textwrap.dedent(TIMED_SUITE))
    return finish(folder)


@pytest.fixture
def finished(undisturbed: Path, suite: Path, tmp_path: Path) -> Path:
    """A copy of a finished run beside its suite."""
    copy = tmp_path / "results" / "small" / undisturbed.name
    shutil.copytree(undisturbed, copy)
    return copy


def wait_until_at_work(folder: Path, process: subprocess.Popen[str]) -> None:
    """Until a runner holds its folder."""
    wait_for(
        lambda: any(RunFolder(run).at_work() for run in folder.glob("results/small/*")), process
    )


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize(
    "kills", [2, pytest.param(50, marks=pytest.mark.slow)], ids=["few", "fifty"]
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
    torn = next((run / "samples").iterdir())
    torn.write_bytes(torn.read_bytes()[:50])
    process = start(tmp_path, "--resume", "--json")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert f"{torn.name} cannot be read" in stderr
    assert measured(run) == measured(timed)


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


def test_a_finished_run_has_nothing_left_to_do(finished: Path, tmp_path: Path) -> None:
    before, done = begun(finished), (finished / "run.log").read_text().count(" to do")
    assert finish(tmp_path, "--resume") == finished
    assert begun(finished) == before
    assert (finished / "run.log").read_text().count(" to do") == done


def test_only_what_has_changed_is_run_again(finished: Path, suite: Path, tmp_path: Path) -> None:
    before = begun(finished)
    suite.write_text(
        suite.read_text().replace("{gru: {hidden_size: 4}}", "{gru: {hidden_size: 5}}, lstm")
    )
    seen = subprocess.run(
        [sys.executable, "-m", "seqbench", "run", "small.yaml", "--resume", "--dry-run"],
        cwd=tmp_path, env=runner_environment(tmp_path), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert seen.stdout.count("ok: kept") == 3, seen.stderr
    assert seen.stdout.count("what defines it has changed") == 6
    assert "6 of 9 trials would run, then what is missing" in " ".join(seen.stdout.split())
    run = finish(tmp_path, "--resume", finished.name, "--seeds", "2")
    assert run == finished
    after = begun(finished)
    assert len(after) == len(before) + 4
    assert {name: after[name] for name in before} == before
    shown = json.loads((finished / "plan.json").read_text())
    assert [case["model"]["name"] for case in shown["cases"]] == ["rnn", "gru", "lstm"]


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
    assert "its weights are damaged; it is run again" in stderr
    assert "its weights are gone; it is run again" in stderr
    assert len(list((finished / "cases").glob("*.json"))) == 2


FLAKY = """
    import os
    import torch

    class Flaky(torch.nn.Linear):
        def forward(self, x):
            if os.path.exists(os.environ["SEQBENCH_TEST"] + "/bad"):
                raise ValueError("bad weather")
            return super().forward(x)
    """
FLAKY_SPEC = """
    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec("flaky", build="flaky_layer:Flaky",
                                   parameters={"out_features": 4})]
    """


@pytest.mark.usefixtures("suite")
def test_failed_trials_are_kept_unless_asked_for(
    site: Path, suite: Path, tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    install(site, "flaky", {"flaky": FLAKY_SPEC, "flaky_layer": FLAKY}, "flaky = flaky")
    suite.write_text(suite.read_text().replace("models: [", "models: [flaky, "))
    (tmp_path / "bad").touch()
    assert seqbench_cli("run", suite, "--seeds", 1).returncode == 1
    (tmp_path / "bad").unlink()
    assert seqbench_cli("run", suite, "--seeds", 1, "--resume").returncode == 1
    plan = seqbench_cli("run", suite, "--seeds", 1, "--resume", "--retry-failed", "--dry-run")
    assert "it was failed: retried" in plan.stdout
    assert "1 of 3 trials would run" in plan.stdout
    again = seqbench_cli("run", suite, "--seeds", 1, "--resume", "--retry-failed", "--json")
    assert again.returncode == 0, again.stdout
    assert "going on with results/small/" in again.stderr
    assert ": 2 trials are kept" in again.stderr
    (before,) = next(t["attempts"] for t in json.loads(again.stdout)["trials"] if t["attempts"])
    assert before["status"] == "failed"
    assert before["reason"].startswith("ValueError: bad weather")
    alone = seqbench_cli("run", suite, "--retry-failed")
    assert alone.returncode == 2
    assert "--retry-failed goes with --resume" in alone.stderr


@pytest.fixture
def slow_run(site: Path, suite: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run one of whose trials has ended while others take their time."""
    slow = FLAKY.replace('raise ValueError("bad weather")', "import time; time.sleep(0.2)")
    install(site, "flaky", {"flaky": FLAKY_SPEC, "flaky_layer": slow}, "flaky = flaky")
    (tmp_path / "bad").touch()
    suite.write_text(suite.read_text().replace("{gru: {hidden_size: 4}}", "flaky"))
    process = start(tmp_path)
    try:
        wait_for(lambda: list(tmp_path.glob("results/small/*/trials/rnn-*.json")), process)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_an_interrupted_run_says_how_to_go_on_and_that_works(
    slow_run: subprocess.Popen[str], tmp_path: Path
) -> None:
    slow_run.send_signal(signal.SIGTERM)
    stdout, stderr = slow_run.communicate(timeout=30)
    assert slow_run.returncode == 130
    assert "interrupted" in stdout
    (line,) = [line for line in stderr.splitlines() if line.startswith("to go on: ")]
    (run,) = tmp_path.glob("results/small/*")
    earned = begun(run)
    command = line.partition("seqbench ")[2].split()
    assert command[-2:] == ["--resume", str(run.relative_to(tmp_path))]
    (tmp_path / "bad").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "seqbench", *command], cwd=tmp_path, capture_output=True, text=True,
        env=runner_environment(tmp_path), timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    after = begun(run)
    assert len(after) == 6
    assert {name: after[name] for name in earned} == earned


def test_a_second_runner_is_kept_out(slow_run: subprocess.Popen[str], tmp_path: Path) -> None:
    process = start(tmp_path, "--resume")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is being run by another process: wait for it, or end it" in stderr
    assert slow_run.poll() is None


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
        assert "to go on: seqbench run small.yaml --out disk --resume disk/small/" in stderr
        for path in disk.glob("small/*/trials/*.json"):
            json.loads(path.read_text())
        subprocess.run([*mount[:4], "remount,size=100m", *mount[5:]], check=True)
        assert len(begun(finish(tmp_path, "--out", "disk", "--resume"))) == 6
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_run_is_gone_on_with_only_as_what_it_was(finished: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in finished.glob("*.json")}

    def refused(*arguments: str) -> str:
        process = start(tmp_path, "--resume", str(finished), *arguments)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "Traceback" not in stderr
        return stderr

    assert "is a run of 'small', not of 'other'" in refused("--set", "name=other")
    assert "was run with --model (all)" in refused("--model", "gru")
    assert before == {path: path.read_bytes() for path in finished.glob("*.json")}
    environment = json.loads((finished / "environment.json").read_text())
    (finished / "environment.json").write_text(json.dumps({**environment, "cpu": "Other 9000"}))
    assert "was run with cpu Other 9000, here it is" in refused()


@pytest.mark.usefixtures("finished")
def test_other_settings_than_before_are_named(
    tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    process = start(tmp_path, "--resume", "--set", "train.epochs=1", "--seeds", "1", "--json")
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "was last run with --set (none), now with train.epochs=1" in stderr
    assert json.loads(stdout)["unplanned"] == 6
    assert "6 trials of an earlier plan" in " ".join(seqbench_cli("show").stdout.split())


def test_a_newer_format_is_refused(finished: Path, tmp_path: Path) -> None:
    state = json.loads((finished / "run.json").read_text())
    (finished / "run.json").write_text(json.dumps({**state, "format": 99}))
    process = start(tmp_path, "--resume")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "has format 99; this seqbench reads formats up to" in stderr


def test_a_place_that_cannot_be_written_is_named(suite: Path, tmp_path: Path) -> None:
    """Whoever runs this may be allowed to write anywhere, but to no folder below a file."""
    (tmp_path / "file").touch()
    process = start(tmp_path, "--out", "file/results")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: cannot make file/results/small/" in stderr
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

    monkeypatch.setattr("seqbench.store.datetime", Earlier)
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
