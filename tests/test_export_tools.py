"""``seqbench export``: what the tools read that need packages of their own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest
from conftest import ROOT
from test_export import AT, FASHION, case_of, copied, export, fail_trial

from seqbench.errors import UsageError
from seqbench.report.interchange.source import Source
from seqbench.report.run import Run

pytestmark = pytest.mark.extra

__all__ = ["copied"]


# pyperf.


def pyperf(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pyperf", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pyperf_shows_and_compares_exports(timed: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyperf")
    export(timed, "pyperf", "--output", tmp_path / "a.json")
    export(timed, "pyperf", "--output", tmp_path / "b.json")
    name = f"parity/rnn/cpu latency {AT}"
    assert name in pyperf(tmp_path, "show", "a.json")
    assert f"not significant (4): {name}" in pyperf(tmp_path, "compare_to", "a.json", "b.json")
    described = pyperf(tmp_path, "metadata", "a.json")
    cpu = Run.open(timed).document["environment"]["cpu"]
    assert f"- cpu_model_name: {cpu}" in described
    assert "hostname" not in described  # of the machine that exports
    content = json.loads((tmp_path / "b.json").read_text())
    for benchmark in content["benchmarks"]:
        for run in benchmark["runs"]:
            run["values"] = [10 * value for value in run["values"]]
    (tmp_path / "b.json").write_text(json.dumps(content))
    assert "10.00x slower" in pyperf(tmp_path, "compare_to", "a.json", "b.json")


def test_each_process_is_one_run_of_pyperf_with_its_median() -> None:
    """Also without samples, which the reference runs do not have."""
    module = pytest.importorskip("pyperf")
    suite = module.BenchmarkSuite.loads(export(FASHION, "pyperf").stdout)
    source = Source.open(FASHION)
    timings = source.timings()
    assert len(suite.get_benchmarks()) == len(timings) >= 8
    for timing in timings:
        found = suite.get_benchmark(f"{timing.name} {timing.measurement.quantity} {timing.at}")
        medians = timing.measurement.values["process_medians_s"]
        assert found.get_values() == tuple(medians)
        assert found.get_nrun() == timing.measurement.values["processes"]
        assert found.get_unit() == "second"
        assert found.median() == timing.measurement.values["median_s"]


# Parquet.


def test_parquet_has_typed_columns(copied: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    trial = next(copied.glob("trials/gru-*-s1.json")).stem
    fail_trial(copied, trial)
    path = tmp_path / "x.parquet"
    export(copied, "parquet", "--output", path)
    cases = pandas.read_parquet(path)
    expected = pandas.DataFrame(Run.open(copied).table())
    assert list(cases.columns) == list(expected.columns)
    for name in ("latency_batch_1_s", "accuracy", "parameters", "model.hidden_size"):
        assert list(cases[name]) == list(expected[name])
        assert cases[name].dtype.kind in "if"
    assert cases["model.bidirectional"].dtype.kind == "b"
    assert list(cases["status"]) == ["ok", "diverged"]
    export(copied, "parquet", "--table", "curves", "--output", path)  # replaced
    curves = pandas.read_parquet(path)
    assert len(curves) == 18
    assert curves["epoch"].dtype.kind == "i"
    assert curves["train_loss"].dtype.kind == "f"
    export(copied, "parquet", "--table", "trials", "--output", path)
    trials = pandas.read_parquet(path).set_index("trial")
    assert trials.loc[trial, "status"] == "diverged"


def test_parquet_accepts_parameters_of_any_kind(copied: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    plan = json.loads((copied / "plan.json").read_text())
    first, second = (case["model"]["params"] for case in plan["cases"])
    first |= {"mixed": 1, "nested": {"a": [1, {"b": None}]}, "large": 2**70, "none": None}
    second |= {"mixed": "one", "nested": [1, "x"], "large": 1, "none": None, "wide": 2.5}
    first["wide"] = 3
    (copied / "plan.json").write_text(json.dumps(plan))
    for table in ("cases", "trials"):
        path = tmp_path / f"{table}.parquet"
        export(copied, "parquet", "--table", table, "--output", path)
        found = pandas.read_parquet(path).groupby("label", sort=False).first()
        assert list(found["model.mixed"]) == ["1", '"one"']
        assert [json.loads(text) for text in found["model.nested"]] == [
            {"a": [1, {"b": None}]},
            [1, "x"],
        ]
        assert list(found["model.large"]) == [str(2**70), "1"]
        assert list(found["model.wide"]) == [3.0, 2.5]


# MLflow.


def mlflow_runs(store: Path) -> tuple[Any, dict[str, list[Any]]]:
    """A client, and the MLflow runs of a store by kind."""
    client = pytest.importorskip("mlflow").MlflowClient(f"sqlite:///{store}/mlflow.db")
    experiments = client.search_experiments()
    assert {each.name for each in experiments} <= {"Default", "small"}
    found: dict[str, list[Any]] = {"run": [], "case": [], "trial": []}
    for run in client.search_runs([each.experiment_id for each in experiments]):
        found[run.data.tags["seqbench.kind"]].append(run)
    return client, found


def test_mlflow_reads_runs_cases_and_trials(copied: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    failed = next(copied.glob("trials/gru-*-s1.json")).stem
    fail_trial(copied, failed)
    store = tmp_path / "a store"
    export(copied, "mlflow", "--output", store)
    client, found = mlflow_runs(store)
    (parent,) = found["run"]
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["environment.torch"]
    assert "suite.yaml" in {each.path for each in client.list_artifacts(parent.info.run_id)}
    assert len(found["case"]) == 2
    trials = {run.data.tags["seqbench.trial"]: run for run in found["trial"]}
    for record in Run.open(copied).records:
        run = trials[record.id]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["seqbench.status"] == record.status
        assert run.info.status == ("FAILED" if record.id == failed else "FINISHED")
        assert run.data.params["seed"] == str(record.seed)
        assert run.data.params["model.hidden_size"] == "4"
        history = client.get_metric_history(run.info.run_id, "train_loss")
        curve = [(epoch["epoch"], epoch["train_loss"]) for epoch in record.curve]
        assert sorted((point.step, point.value) for point in history) == curve
        if record.status == "ok":
            assert run.data.metrics["test_accuracy"] == record.metrics["value"]
        assert ("test_accuracy" in run.data.metrics) == (record.status == "ok")
        assert run.info.end_time - run.info.start_time == pytest.approx(
            1000 * record.seconds, abs=1
        )
        artifacts = {each.path for each in client.list_artifacts(run.info.run_id)}
        assert artifacts == {f"{record.id}{end}" for end in (".json", ".log", ".safetensors")}
    (rnn,) = (run for run in found["case"] if run.data.params["label"] == "rnn")
    case = case_of(copied, "rnn")
    metrics = rnn.data.metrics
    assert metrics["latency " + AT.replace("=", "_")] == case["latency"][0]["median_s"]
    assert metrics["accuracy"] == case["metric"]["mean"]


def test_a_second_export_to_mlflow_replaces_the_first(copied: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    store, other = tmp_path / "store", copied.with_name("20260101T000000.000Z-aaaa")
    shutil.copytree(copied, other)
    export(copied, "mlflow", "--output", store)
    export(other, "mlflow", "--output", store)
    assert [len(runs) for runs in mlflow_runs(store)[1].values()] == [2, 4, 12]
    again = export(copied, "mlflow", "--output", store)
    assert f"replaced the earlier export of small/{copied.name} (9 MLflow runs" in again.stderr
    client, found = mlflow_runs(store)
    assert [len(runs) for runs in found.values()] == [2, 4, 12]
    experiment = client.get_experiment_by_name("small").experiment_id
    deleted = client.search_runs([experiment], run_view_type=2)  # ViewType.DELETED_ONLY
    assert len(deleted) == 9


def test_mlflow_gets_no_path_that_it_would_read_as_another_one(
    copied: Path, tmp_path: Path
) -> None:
    pytest.importorskip("mlflow")
    for name in ("a?b", "a%20b", "a#b"):
        with pytest.raises(UsageError, match=f"MLflow does not accept '{re.escape(name[1])}'"):
            export(copied, "mlflow", "--output", tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


# TensorBoard.


def test_tensorboard_reads_the_learning_curves(copied: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    failed = next(copied.glob("trials/gru-*-s1.json")).stem
    fail_trial(copied, failed)
    logs = tmp_path / "logs"
    export(copied, "tensorboard", "--output", logs)
    again = export(copied, "tensorboard", "--output", logs)
    assert f"replaced the earlier export of small/{copied.name}" in again.stderr
    for record in Run.open(copied).records:
        folder = logs / copied.name / record.id
        assert len(list(folder.iterdir())) == 1
        events = EventAccumulator(str(folder))
        events.Reload()
        for tag, key in (("loss/train", "train_loss"), ("accuracy/validation", "validation")):
            points = events.Scalars(tag)
            assert [point.step for point in points] == [1, 2, 3]
            expected = [epoch[key] for epoch in record.curve]  # type: ignore[literal-required]
            assert [point.value for point in points] == pytest.approx(expected, rel=1e-6)
        plugins = events.summary_metadata
        status = plugins["seqbench/status/text_summary"]
        assert status.plugin_data.plugin_name == "text"
        if record.id == failed:
            assert "accuracy/test" not in events.Tags()["scalars"]
            continue
        (test,) = events.Scalars("accuracy/test")
        assert test.value == pytest.approx(record.metrics["value"])
        assert test.step == record.metrics["best_epoch"]
        start = plugin_data_pb2.HParamsPluginData.FromString(
            plugins["_hparams_/session_start_info"].plugin_data.content
        )
        values = start.session_start_info.hparams
        assert values["seed"].number_value == record.seed
        assert values["model.hidden_size"].number_value == 4
        assert values["model"].string_value == record.id.split("-")[0]


# The docs.


def test_the_page_on_exports_works_as_it_is_written(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands, but for those of programs that are not installed, and its snippets."""
    for name in ("pyarrow", "pyperf", "mlflow", "tensorboard"):
        pytest.importorskip(name)
    page = (ROOT / "docs" / "exports.md").read_text("utf-8")
    lines = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    count = 0
    for line in filter(None, lines.splitlines()):
        program, *arguments = line.split()
        modules = {"seqbench": "seqbench", "pytest-benchmark": "pytest_benchmark"}
        if program == "python":
            command = [sys.executable, *arguments]
        elif program in modules:
            command = [sys.executable, "-m", modules[program], *arguments]
        else:
            assert program == "bencher"
            continue
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr)
        count += 1
    assert count == 11
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(code, {})
