"""Resuming a run: beside a running one, after a stop, and after an edit of a plugin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import install, processes_of, runner_environment
from small_runs import FLAKY, FLAKY_SPEC, begun, called, finish, start, wait_for

from seqbench.store.run_folder import RunFolder


def test_an_interrupted_run_prints_the_command_that_resumes_it(
    slow_run: subprocess.Popen[str], tmp_path: Path
) -> None:
    slow_run.send_signal(signal.SIGTERM)
    stdout, stderr = slow_run.communicate(timeout=30)
    assert slow_run.returncode == 130
    assert "interrupted" in stdout
    (line,) = [line for line in stderr.splitlines() if line.startswith("resume with: ")]
    assert "seqbench run" not in stdout  # one command, which has all options
    (run,) = tmp_path.glob("results/small/*")
    completed = begun(run)
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
    assert {name: after[name] for name in completed} == completed


def test_a_second_runner_is_refused(slow_run: subprocess.Popen[str], tmp_path: Path) -> None:
    done = called(tmp_path, "--resume")
    assert done.returncode == 1
    assert "is in use by another seqbench process: wait until it ends, or stop it" in done.stderr
    assert slow_run.poll() is None


def test_no_resume_command_is_shown_for_a_running_run(
    finished: Path, seqbench_cli: Callable[..., Any]
) -> None:
    folder = RunFolder(finished)
    folder.set_state("running")
    with folder.locked():
        shown = seqbench_cli("show").stdout
    assert "This run has not finished" in shown
    assert "--resume" not in shown


@pytest.mark.slow
def test_the_log_records_the_course_of_a_run(
    slow_run: subprocess.Popen[str], tmp_path: Path
) -> None:
    slow_run.send_signal(signal.SIGINT)
    slow_run.communicate(timeout=30)
    (tmp_path / "bad").unlink()
    log = (finish(tmp_path, "--resume") / "run.log").read_text()
    entries = [line.partition(" ")[2] for line in log.splitlines()]
    assert entries[0] == "started"
    assert entries[-1] == "finished"
    middle = entries.index("interrupted")
    assert entries[middle + 1].startswith("resuming results/small/")


@pytest.mark.slow
def test_the_seconds_of_a_killed_runner_count(
    slow_run: subprocess.Popen[str], tmp_path: Path
) -> None:
    (run,) = tmp_path.glob("results/small/*")
    time.sleep(1)
    slow_run.kill()
    slow_run.communicate()
    before = RunFolder(run).seconds()
    assert before > 0
    (tmp_path / "bad").unlink()
    assert finish(tmp_path, "--resume") == run
    assert json.loads((run / "run.json").read_text())["seconds"] > before


@pytest.mark.slow
def test_ctrl_c_while_torch_loads_prints_no_traceback(suite: Path, tmp_path: Path) -> None:
    """As a terminal sends it: to the whole process group."""
    for seconds in (0.4, 1.2):
        process = start(tmp_path)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 130, stderr
        assert "Traceback" not in stderr
        assert "Fatal" not in stderr
        assert processes_of(tmp_path) == []


@pytest.mark.slow
def test_trials_of_an_edited_plugin_are_run_again(
    site: Path, suite: Path, tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    install(site, "flaky", {"flaky": FLAKY_SPEC, "flaky_layer": FLAKY}, "flaky = flaky")
    suite.write_text(suite.read_text().replace("models: [", "models: [flaky, "))
    options = ("--seeds", "1", "--set", "measure=[accuracy]")
    run = finish(tmp_path, *options)
    before = begun(run)
    (site / "flaky_layer.py").write_text(textwrap.dedent(FLAKY) + "# fixed\n")
    dry = seqbench_cli("run", suite, "--resume", "--dry-run").stdout
    assert "1 of 3 trials would run" in dry
    assert finish(tmp_path, "--resume") == run
    after = begun(run)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1


@pytest.mark.slow
def test_a_plugin_reinstalled_while_the_suite_runs_is_reported(
    slow_run: subprocess.Popen[str],
    site: Path,
    tmp_path: Path,
    seqbench_cli: Callable[..., Any],
) -> None:
    info = site / "flaky-1.0.dist-info" / "METADATA"
    info.write_text(info.read_text().replace("Version: 1.0", "Version: 2.0"))
    (tmp_path / "bad").unlink()
    slow_run.communicate(timeout=60)
    shown = " ".join(seqbench_cli("show").stdout.split())
    assert "flaky with flaky 2.0 instead of 1.0" in shown
    preview = seqbench_cli("run", "small.yaml", "--resume", "--dry-run").stdout
    assert "comes from a package that has moved or changed" in preview


@pytest.mark.slow
def test_a_plugin_edited_while_the_suite_runs_is_reported(
    slow_run: subprocess.Popen[str],
    site: Path,
    tmp_path: Path,
    seqbench_cli: Callable[..., Any],
) -> None:
    layer = site / "flaky_layer.py"
    text = layer.read_text()
    layer.write_text(text + "# edited\n")
    (tmp_path / "bad").unlink()  # so that the other trials end soon
    slow_run.communicate(timeout=60)
    shown = " ".join(seqbench_cli("show").stdout.split())
    assert "The source of a model was edited during the run" in shown
    layer.write_text(text)
    dry = seqbench_cli("run", "small.yaml", "--resume", "--dry-run").stdout
    assert "its model's source was edited before it was trained" in dry
    finish(tmp_path, "--resume", "--retry-failed")  # measuring refused the edited source
    assert "The source of a model" not in seqbench_cli("show").stdout


def test_a_dry_run_refuses_what_a_resume_refuses(
    finished: Path, seqbench_cli: Callable[..., Any]
) -> None:
    with RunFolder(finished).locked():
        dry = seqbench_cli("run", "small.yaml", "--resume", "--dry-run")
    assert dry.returncode == 1
    assert "is in use by another seqbench process" in dry.stderr


@pytest.mark.slow
def test_the_time_between_two_runners_does_not_count(
    slow_run: subprocess.Popen[str], tmp_path: Path
) -> None:
    (run,) = tmp_path.glob("results/small/*")
    slow_run.kill()
    slow_run.communicate()
    first = RunFolder(run).seconds()
    time.sleep(3)
    log = (run / "run.log").read_text()
    process = start(tmp_path, "--resume")
    wait_for(lambda: "train: " in (run / "run.log").read_text()[len(log) :], process)
    process.kill()
    process.communicate()
    assert first <= RunFolder(run).seconds() < first + 2
