"""Resuming a run: what is kept, run again or refused, and what is reported."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import install, runner_environment
from small_runs import FLAKY, FLAKY_SPEC, SUITE, begun, called, finish

from seqbench.errors import UsageError
from seqbench.plan.expand import make_plan
from seqbench.plugins.discovery import load_plugins
from seqbench.runner.resume.can_resume import check_resumable
from seqbench.store.run_folder import RunFolder
from seqbench.suite.selection import Selection
from seqbench.suite.validate import parse_suite


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
