"""Figures by test set and by length in charts, and in the formats of other tools."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas
import pytest
from made_documents import made
from made_runs import write_run
from test_export import export
from test_parts import THREE, broken, case_of, part, summed, with_ranges, with_sets

from seqbench import Run
from seqbench.report.charts.chart import Chart
from seqbench.summary.schema import Document

pytestmark = pytest.mark.extra

__all__ = ["summed"]


def length_chart(document: Document) -> Chart:
    from seqbench.report.charts.kinds import draw
    from seqbench.report.charts.source import RunData, groups

    return draw("length", groups(RunData(document))[0])


def valid(chart: Chart, options: dict[str, str]) -> dict[str, Any]:
    """The specification, which must be valid Vega-Lite and draw its points without a warning."""
    altair = pytest.importorskip("altair")
    vl_convert = pytest.importorskip("vl_convert")
    from seqbench.report.charts.figure import chosen

    spec = chosen(chart, options)
    altair.Chart.from_dict(spec).to_dict()
    assert vl_convert.vegalite_to_svg(spec).count('aria-roledescription="point"') > 0
    return spec


def test_the_chart_has_each_figure_over_its_lengths() -> None:
    document = made(THREE, of_trial=with_sets)
    chart = length_chart(document)
    valid(chart, {"y": "accuracy"})
    rows = [row for row in chart.rows() if row["case"] == "gru"]
    for row, one in zip(rows, case_of(document, "gru")["parts"], strict=True):
        assert (row["shortest"], row["longest"]) == (one["shortest"], one["longest"])
        assert row["shortest"] < row["middle"] < row["longest"]
        assert row["value"] == pytest.approx(100 * one["mean"])
        assert row["low"] == pytest.approx(100 * one["low"])
        assert row["high"] == pytest.approx(min(100, 100 * one["high"]))
    assert chart.sentence == (
        "From 5–12 to 41–100 steps, accuracy goes from 92.0 % to 82.0 % (gru), from 82.0 % to "
        "72.0 % (lstm) and from 72.0 % to 62.0 % (rnn)."
    )


def test_test_sets_whose_lengths_overlap_are_side_by_side() -> None:
    """A line between them would be one over lengths that do not differ."""

    def overlapping(label: str, seed: int) -> dict[str, Any]:
        parts = [part("clean", 0.9), part("noisy", 0.7 + 0.01 * seed)]
        return {"parts": parts, "headline": ["clean"]}

    chart = length_chart(made(THREE, of_trial=overlapping))
    spec = valid(chart, {"y": "accuracy"})
    marks = [layer["mark"]["type"] for layer in spec["layer"]]
    assert "line" not in marks
    assert {layer["encoding"]["x"]["field"] for layer in spec["layer"]} == {"part"}
    assert "from 71.0 % on noisy to 90.0 % on clean (gru)" in chart.sentence


def test_a_missing_figure_and_failed_seeds_are_named() -> None:
    lacking = made(THREE, of_trial=partial(broken, how="missing"))
    chart = length_chart(lacking)
    assert "Not every part has a figure of gru." in chart.sentence
    assert "(gru)" not in chart.sentence
    missing = [row for row in chart.rows() if row["value"] is None]
    assert [(row["case"], row["part"]) for row in missing] == [("gru", "long")]
    valid(chart, {})
    failed = length_chart(made(THREE, of_trial=with_sets, diverged=("gru",)))
    assert "Not all seeds of gru succeeded." in failed.sentence
    assert {row["case"] for row in failed.rows() if not row["sound"]} == {"gru"}


def test_an_error_over_orders_of_magnitude_has_a_logarithmic_axis() -> None:
    def errors(label: str, seed: int) -> dict[str, Any]:
        return {"parts": [part("", 1e-4 * (1 + seed), (1, 9)), part("", 0.9, (10, 90))]}

    chart = length_chart(made(THREE, dataset="adding", of_trial=errors))
    spec = valid(chart, {"y": "mse"})
    scale = spec["layer"][-1]["encoding"]["y"]["scale"]
    assert (scale["type"], scale["domainMin"]) == ("log", pytest.approx(1e-4))
    assert min(row["low"] for row in chart.rows()) == pytest.approx(1e-4)  # the interval reaches 0


def test_without_parts_the_chart_says_what_is_missing() -> None:
    assert "no figures by length of the test sequences" in length_chart(made(THREE)).missing
    one = {"parts": [part("only", 0.9)], "headline": ["only"]}
    assert length_chart(made(THREE, of_trial=lambda label, seed: one)).missing


def test_names_of_test_sets_are_text() -> None:
    def hostile(label: str, seed: int) -> dict[str, Any]:
        names = ["constructor", "<img src=x>", "datum.x\\u0027"]
        parts = [part(name, 0.5, (9 * n + 1, 9 * n + 9)) for n, name in enumerate(names)]
        return {"parts": parts, "headline": names}

    chart = length_chart(made(THREE, of_trial=hostile))
    spec = valid(chart, {})
    assert "<img" not in pytest.importorskip("vl_convert").vegalite_to_svg(spec)


def test_plot_draws_the_figure_of_a_run(summed: Path, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    from click.testing import CliRunner

    from seqbench.cli import cli

    target = tmp_path / "x.svg"
    for dataset, name in ("far", "accuracy"), ("far", "score_wrong"), ("ragged", "accuracy"):
        words = ["plot", str(summed), "length", "--dataset", dataset, "--option", f"y={name}"]
        done = CliRunner().invoke(cli, [*words, "--output", str(target)])
        assert done.exit_code == 0, done.exception
        text = target.read_text("utf-8")
        assert "length (steps)" in text
        assert (">near<" in text) == (dataset == "far")


def test_parquet_has_the_parts_of_each_trial(summed: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    export(summed, "parquet", "--table", "parts", "--output", tmp_path / "x.parquet")
    frame = pandas.read_parquet(tmp_path / "x.parquet")
    rows = Run.open(summed).parts()
    assert frame["value"].tolist() == [row["value"] for row in rows]
    assert frame["headline"].tolist() == [row["headline"] for row in rows]
    assert (frame["sequences"].dtype, frame["value"].dtype) == ("int64", "float64")


def test_mlflow_and_tensorboard_have_the_parts_of_each_trial(summed: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("tensorboard")
    from mlflow import MlflowClient
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    export(summed, "mlflow", "--output", tmp_path / "mlflow")
    export(summed, "tensorboard", "--output", tmp_path / "tensorboard")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = client.search_runs(experiments, "tags.`seqbench.kind` = 'trial'")
    metrics = {run.data.tags["seqbench.trial"]: run.data.metrics for run in found}
    run = Run.open(summed)
    (score,) = {name for record in run.records for name in record.scores}  # an id
    events = {}
    for folder in (tmp_path / "tensorboard").glob("*/*"):
        events[folder.name] = EventAccumulator(str(folder))
        events[folder.name].Reload()
    for row in run.parts():
        ends = dict.fromkeys((row["shortest"], row["longest"]))
        name = row["test_set"] or f"{'-'.join(map(str, ends))} steps"
        metric = score if row["metric"] == "wrong" else row["metric"]
        assert metrics[row["trial"]][f"test_{metric} {name}"] == row["value"]
        (point,) = events[row["trial"]].Scalars(f"{metric}/test/{name}")
        assert point.value == pytest.approx(row["value"])


def test_mlflow_gets_names_that_it_accepts(tmp_path: Path) -> None:
    """Without mixing up test sets whose names become equal."""
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    names = ["..", "a/../b", "a=b", "a_b", "a b"]
    parts = [part(name, 0.1 * n) for n, name in enumerate(names)]
    metrics = {"value": 0.2, "last": 0.2, "best": None, "best_epoch": None, "steps": 1,
               "parts": parts, "headline": names}  # fmt: skip
    text = "name: x\ndatasets: [parity]\nmodels: [rnn]\nseeds: 1\ndevices: [cpu]\n"
    run = write_run(tmp_path / "results", text, metrics=metrics)
    export(run, "mlflow", "--output", tmp_path / "mlflow")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    experiments = [each.experiment_id for each in client.search_experiments()]
    (found,) = client.search_runs(experiments, "tags.`seqbench.kind` = 'trial'")
    own = [value for name, value in found.data.metrics.items() if name.startswith("test_accuracy ")]
    assert sorted(own) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_ranges_have_no_names_of_test_sets() -> None:
    chart = length_chart(made(THREE, of_trial=with_ranges))
    spec = valid(chart, {"y": "accuracy"})
    assert "text" not in json.dumps([layer["mark"] for layer in spec["layer"]])
    assert "part" not in chart.fields
