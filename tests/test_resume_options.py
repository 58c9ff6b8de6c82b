"""Resuming a run: what is kept, run again or refused, and what is reported."""

from __future__ import annotations

import json
import os
import shutil
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
)

from seqbench import Run
from seqbench.errors import UsageError
from seqbench.machine.other_runs import timing
from seqbench.plan.expand import make_plan
from seqbench.plugins.discovery import load_plugins
from seqbench.runner.resume.can_resume import check_resumable
from seqbench.runner.resume.suite import suite_of
from seqbench.store.run_folder import RunFolder
from seqbench.suite.selection import Selection
from seqbench.suite.shipped import find_suite
from seqbench.suite.validate import parse_suite
from seqbench.training.data import cache_dir


def test_a_finished_run_has_nothing_left_to_do(finished: Path, tmp_path: Path) -> None:
    before, done = begun(finished), (finished / "run.log").read_text().count(" to do")
    assert finish(tmp_path, "--resume") == finished
    assert begun(finished) == before
    assert (finished / "run.log").read_text().count(" to do") == done


@pytest.mark.slow
def test_only_new_or_changed_trials_are_run(finished: Path, suite: Path, tmp_path: Path) -> None:
    before = begun(finished)
    suite.write_text(
        suite.read_text().replace("{gru: {hidden_size: 4}}", "{gru: {hidden_size: 5}}, lstm")
    )
    preview = subprocess.run(
        [sys.executable, "-m", "seqbench", "run", "small.yaml", "--resume", "--dry-run"],
        cwd=tmp_path, env=runner_environment(tmp_path), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert preview.stdout.count("  keep  ok\n") == 3, preview.stderr
    assert preview.stdout.count("new or changed") == 6
    assert "resuming results/small/" in preview.stdout
    assert "6 of 9 trials would run" in preview.stdout
    assert "cost and memory: 6 of 9 would be measured" in preview.stdout
    run = finish(tmp_path, "--resume", finished.name, "--seeds", "2")
    assert run == finished
    after = begun(finished)
    assert len(after) == len(before) + 4
    assert {name: after[name] for name in before} == before
    plan = json.loads((finished / "plan.json").read_text())
    assert [case["model"]["name"] for case in plan["cases"]] == ["rnn", "gru", "lstm"]


@pytest.mark.slow
@pytest.mark.usefixtures("suite")
def test_failed_trials_are_kept_without_retry_failed(
    site: Path, suite: Path, tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    install(site, "flaky", {"flaky": FLAKY_SPEC, "flaky_layer": FLAKY}, "flaky = flaky")
    suite.write_text(suite.read_text().replace("models: [", "models: [flaky, "))
    (tmp_path / "bad").touch()
    failed = seqbench_cli("run", suite, "--seeds", 1)
    assert failed.returncode == 1
    assert "retry failures with: seqbench run small.yaml --seeds 1 --resume " \
        in failed.stderr.replace(f"{tmp_path}/", "")  # fmt: skip
    (tmp_path / "bad").unlink()
    assert seqbench_cli("run", suite, "--seeds", 1, "--resume").returncode == 1
    plan = seqbench_cli("run", suite, "--seeds", 1, "--resume", "--retry-failed", "--dry-run")
    assert "failed: retried" in plan.stdout
    assert "1 of 3 trials would run" in plan.stdout
    kept = seqbench_cli("run", suite, "--resume", "--dry-run").stdout
    assert "  keep  failed (retry with --retry-failed)" in kept
    assert "0 of 3 trials would run" in kept  # --seeds 1 of the original run
    again = seqbench_cli("run", suite, "--seeds", 1, "--resume", "--retry-failed", "--json")
    assert again.returncode == 0, again.stdout
    assert "resuming results/small/" in again.stderr
    assert " (with --seeds 1): 2 of 3 trials already done" in again.stderr
    (before,) = next(t["attempts"] for t in json.loads(again.stdout)["trials"] if t["attempts"])
    assert before["status"] == "failed"
    assert before["reason"].startswith("ValueError: bad weather")
    alone = seqbench_cli("run", suite, "--retry-failed")
    assert alone.returncode == 2
    assert "--retry-failed needs --resume" in alone.stderr


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


@pytest.mark.slow
def test_a_resume_requires_the_same_suite_models_and_machine(
    finished: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in finished.glob("*.json")}

    def refused(*arguments: str) -> str:
        done = called(tmp_path, "--resume", str(finished), *arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        return done.stderr.splitlines()[-1]

    assert "is a run of 'small', not of 'other'" in refused("--set", "name=other")
    assert "was run without --model: omit --model to resume it" in refused(
        "--model", "gru", "--dry-run"
    )
    assert before == {path: path.read_bytes() for path in finished.glob("*.json")}
    environment = json.loads((finished / "environment.json").read_text())
    folder, plan = (
        RunFolder(finished),
        make_plan(parse_suite(textwrap.dedent(SUITE), registry=load_plugins()), load_plugins()),
    )
    for changed, words in (
        ({"cpu": "Other 9000"}, "was run with cpu Other 9000, now with "),
        ({"devices": {"cpu": "Other GPU"}}, "was run with Other GPU as cpu, now with "),
        ({"variables": {"MKL_CBWR": "AVX2"}}, "was run with MKL_CBWR AVX2, now with unset: "),
    ):
        (finished / "environment.json").write_text(json.dumps({**environment, **changed}))
        with pytest.raises(UsageError, match=words):
            check_resumable(folder, plan.on({"cpu": ""}), Selection(), environment)
    assert "was run with MKL_CBWR AVX2, now with unset: " in refused()


@pytest.mark.usefixtures("finished")
def test_changed_settings_are_reported(tmp_path: Path, seqbench_cli: Callable[..., Any]) -> None:
    done = called(tmp_path, "--resume", "--set", "train.epochs=1", "--seeds", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert "was last run with --set (none), now with train.epochs=1" in done.stderr
    assert json.loads(done.stdout)["unplanned"] == 6
    assert "6 trials of an earlier plan" in " ".join(seqbench_cli("show").stdout.split())


def test_a_newer_format_is_refused(finished: Path, tmp_path: Path) -> None:
    state = json.loads((finished / "run.json").read_text())
    (finished / "run.json").write_text(json.dumps({**state, "format": 99}))
    done = called(tmp_path, "--resume")
    assert done.returncode == 1
    assert "has format 99; this seqbench reads formats up to" in done.stderr


def test_a_resume_without_options_uses_the_original_ones(
    suite: Path, tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    options = ("--model", "rnn", "--set", "train.epochs=1", "--seeds", "1", "--set",
               "measure=[accuracy]")  # fmt: skip
    run = finish(tmp_path, *options)
    before = begun(run)
    (path,) = (run / "trials").glob("*.json")
    path.unlink()
    RunFolder(run).set_state("interrupted")
    banner = " ".join(seqbench_cli("show").stdout.split())
    command = f"seqbench run small.yaml --resume {run.relative_to(tmp_path)}"
    assert f"Resume with: `{command}`" in banner
    done = called(tmp_path, "--resume", str(run), "--json")
    assert done.returncode == 0, done.stderr
    original = "--set train.epochs=1 --set 'measure=[accuracy]' --model rnn --seeds 1"
    assert f"resuming {run} (with {original}): 0 of 1 trials already done" in done.stderr
    assert "warning" not in done.stderr
    assert begun(run).keys() == before.keys()
    assert json.loads(done.stdout)["unplanned"] == 0


@pytest.mark.slow
def test_limits_affect_no_figure_and_cause_no_warning(finished: Path, tmp_path: Path) -> None:
    before = begun(finished)
    done = called(tmp_path, "--resume", "--set", "limits.time=5m")
    assert done.returncode == 0
    assert "warning" not in done.stderr
    assert begun(finished) == before


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
@pytest.mark.parametrize("name", ["run.json", "plan.json", "environment.json"])
def test_a_run_with_a_missing_file_can_be_resumed(
    finished: Path, tmp_path: Path, seqbench_cli: Callable[..., Any], name: str
) -> None:
    before = begun(finished)
    (finished / name).unlink()
    assert finished.name[-4:] in seqbench_cli("list").stdout
    assert finish(tmp_path, "--resume") == finished
    assert begun(finished) == before
    assert (finished / name).exists()


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


def test_a_dry_run_as_json(finished: Path, seqbench_cli: Callable[..., Any]) -> None:
    done = seqbench_cli("run", "small.yaml", "--resume", "--dry-run", "--json")
    preview = json.loads(done.stdout)
    assert preview["run"].endswith(finished.name)
    assert [trial["keep"] for trial in preview["trials"]] == [True] * 6
    assert preview["memory"] == preview["latency"] == []
    assert preview["estimate"]["parts"] == {"training": 0.0, "measuring": 0.0}


@pytest.mark.slow
def test_the_selection_survives_the_loss_of_run_json(tmp_path: Path, suite: Path) -> None:
    run = finish(tmp_path, "--model", "rnn", "--seeds", "1", "--set", "measure=[accuracy]")
    before = begun(run)
    (run / "run.json").unlink()
    assert finish(tmp_path, "--resume") == run
    assert begun(run) == before


def test_missing_records_are_reported(finished: Path, seqbench_cli: Callable[..., Any]) -> None:
    next((finished / "trials").iterdir()).unlink()
    shown = " ".join(seqbench_cli("show").stdout.split())
    assert "No record of 1 trial. Run again with: `seqbench run small.yaml --resume" in shown


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


@pytest.mark.slow
def test_only_the_given_option_changes(suite: Path, tmp_path: Path) -> None:
    run = finish(tmp_path, "--model", "rnn", "--seeds", "1", "--set", "measure=[accuracy]",
                 "--set", "train.epochs=2")  # fmt: skip
    before = begun(run)
    assert finish(tmp_path, "--resume", "--set", "limits.time=5m") == run
    assert begun(run) == before
    state = json.loads((run / "run.json").read_text())["selection"]
    assert state["overrides"] == ["measure=[accuracy]", "train.epochs=2", "limits.time=5m"]
    finish(tmp_path, "--resume", "--seeds", "2")
    assert len(begun(run)) == 2


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{"seconds": float("nan")}, {"seconds": 10**400}, {"format": "x"}, {"selection": [1]},
     {"selection": {"overrides": ["\x1b]0;pwn\x07"], "seeds": True}}, {"suite": 3}],
)  # fmt: skip
def test_a_malformed_run_json_is_harmless(
    finished: Path, tmp_path: Path, seqbench_cli: Callable[..., Any], changes: dict[str, Any]
) -> None:
    path = finished / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    for command in (("show",), ("list",), ("run", "small.yaml", "--resume", "--dry-run")):
        done = seqbench_cli(*command)
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout + done.stderr


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
