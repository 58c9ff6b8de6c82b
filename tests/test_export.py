"""``seqbench export``: formats that need no package but those of the tests."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import math
import random
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest
from click.testing import CliRunner, Result
from conftest import ROOT
from pytest_benchmark.stats import Stats

from seqbench.cli import cli
from seqbench.errors import StoreError, UsageError
from seqbench.report.interchange.pytest_benchmark import statistics_of
from seqbench.report.interchange.registry import FORMATS
from seqbench.report.interchange.source import Source
from seqbench.report.run import Run
from seqbench.summary.calls import calls_of

FASHION = ROOT / "results" / "reference" / "fashion"
AT = "batch_size=1 length=4 threads=1 runtime=eager"


def export(run: Path, form: str, *options: object) -> Result:
    """Run the command; its errors are raised."""
    words = ["export", str(run), "--format", form, *map(str, options)]
    result = CliRunner().invoke(cli, words)
    if result.exception is not None:
        raise result.exception
    return result


@pytest.fixture
def copied(timed: Path, tmp_path: Path) -> Path:
    """A copy of a run with latency, to be changed."""
    copy = tmp_path / "results" / "small" / timed.name
    shutil.copytree(timed, copy)
    return copy


def case_of(run: Path, model: str) -> Any:
    """The case of a model in the document of a run."""
    (case,) = (case for case in Run.open(run).document["cases"] if case["model"] == model)
    return case


def fail_trial(run: Path, trial: str) -> None:
    """Change the record of a trial so that it has diverged."""
    path = run / "trials" / f"{trial}.json"
    record = json.loads(path.read_text())
    record |= {"status": "diverged", "reason": "the loss became inf at step 2"}
    path.write_text(json.dumps(record))


# pytest-benchmark.


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7, 50, 51])
def test_statistics_are_those_of_pytest_benchmark(n: int) -> None:
    values = [random.Random(n).expovariate(1e4) for _ in range(n)]
    expected: Any = Stats()  # type: ignore[no-untyped-call]
    found = statistics_of(values)
    for value in values:
        expected.update(value)
    for name, value in expected.as_dict().items():
        if name == "hd15iqr":  # of the largest fence, wrong before version 5.3
            assert found[name] == max(v for v in values if v <= found["q3"] + 1.5 * found["iqr"])
        elif isinstance(value, str):
            assert found[name] == value
        else:
            assert found[name] == pytest.approx(value, rel=1e-12), name


def test_statistics_by_hand() -> None:
    found = statistics_of([4.0, 1.0, 3.0, 2.0, 100.0])
    assert (found["min"], found["max"], found["mean"], found["median"]) == (1, 100, 22, 3)
    assert (found["q1"], found["q3"], found["iqr"]) == (1.75, 28, 26.25)
    assert (found["outliers"], found["hd15iqr"], found["rounds"]) == ("1;1", 4, 5)
    assert found["data"] == [4, 1, 3, 2, 100]
    assert found["ops"] == 1 / 22


def test_pytest_benchmark_compares_two_exports(timed: Path, tmp_path: Path) -> None:
    for name in ("first.json", "second.json"):
        export(timed, "pytest-benchmark", "--output", tmp_path / name)
    command = [sys.executable, "-m", "pytest_benchmark", "compare", "first.json", "second.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    groups = re.findall(r"benchmark '(.*?)': (\d) tests", done.stdout)
    assert (f"parity/cpu latency {AT}", "4") in groups  # rnn and gru, twice
    assert f"rnn[latency {AT}] (first)" in done.stdout
    command += ["--between", "min,mean"]
    between = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    if "unrecognized arguments" not in between.stderr:  # added in version 5.3
        assert "+0.0%" in between.stdout


def test_rounds_are_the_counted_calls_of_the_run(timed: Path) -> None:
    exported = json.loads(export(timed, "pytest-benchmark").stdout)
    source = Source.open(timed)
    for case in source.document["cases"]:
        cell = next(c for c in calls_of(timed, source.records[case["id"]])
                    if c.quantity == "latency")  # fmt: skip
        name = f"parity/{case['label']}/cpu[latency {AT}]"
        (found,) = (each for each in exported["benchmarks"] if each["fullname"] == name)
        assert found["stats"]["data"] == cell.seconds
        assert found["stats"]["median"] == statistics.median(cell.seconds)
        assert found["extra_info"]["seqbench"]["median_s"] == case["latency"][0]["median_s"]
        assert found["params"]["model.hidden_size"] == 4
        assert found["params"]["batch_size"] == 1
    environment = source.document["environment"]
    assert exported["machine_info"]["cpu"]["brand_raw"] == environment["cpu"]
    assert exported["machine_info"]["torch"] == environment["torch"]
    assert "node" not in exported["machine_info"]


def test_without_samples_the_error_names_the_file(tmp_path: Path) -> None:
    output = tmp_path / "x.json"
    with pytest.raises(StoreError) as caught:
        export(FASHION, "pytest-benchmark", "--output", output)
    (line,) = str(caught.value).splitlines()
    assert re.search(r"needs the time of every call: .*samples/rnn-.*\.json\.gz is missing", line)
    assert not output.exists()


def test_a_case_without_samples_is_left_out_and_named(copied: Path) -> None:
    (gone,) = copied.glob("samples/gru-*.json.gz")
    gone.unlink()
    result = export(copied, "pytest-benchmark")
    assert {each["name"].split("[")[0] for each in json.loads(result.stdout)["benchmarks"]} == {
        "rnn"
    }
    assert "left out, without the time of every call: parity/gru/cpu latency" in result.stderr
    assert f"{gone} is missing" in result.stderr


# Bencher and github-action-benchmark: only their documented formats can be checked here.


def check_bmf(content: Any) -> None:
    """As on https://bencher.dev/docs/reference/bencher-metric-format: names of at most 1,024 and
    64 characters, and numbers, of which only ``value`` is required.
    """
    assert isinstance(content, dict)
    for benchmark, measures in content.items():
        assert 0 < len(benchmark) <= 1024
        assert isinstance(measures, dict)
        for measure, metric in measures.items():
            assert 0 < len(measure) <= 64
            assert {"value"} <= set(metric) <= {"value", "lower_value", "upper_value"}
            for number in metric.values():
                assert type(number) in (int, float)
                assert math.isfinite(number)


def check_github(content: Any) -> None:
    """As the README of the action describes ``customSmallerIsBetter``."""
    assert isinstance(content, list)
    names = [each["name"] for each in content]
    assert len(set(names)) == len(names)
    for each in content:
        assert {"name", "unit", "value"} <= set(each) <= {"name", "unit", "value", "range", "extra"}
        assert type(each["value"]) in (int, float)
        assert all(isinstance(each[name], str) for name in set(each) - {"value"})
        assert each["unit"]


@pytest.mark.parametrize("name", ["fashion", "fashion-2020", "zoo"])
def test_reference_runs_have_the_documented_formats(name: str) -> None:
    run = ROOT / "results" / "reference" / name
    check_bmf(json.loads(export(run, "bmf").stdout))
    check_github(json.loads(export(run, "github").stdout))


def test_bmf_has_the_figures_of_the_run() -> None:
    exported = json.loads(export(FASHION, "bmf").stdout)
    lstm = case_of(FASHION, "lstm")
    assert exported["fashion_mnist/lstm/cpu"]["accuracy"] == {
        "value": lstm["metric"]["mean"],
        "lower_value": lstm["metric"]["low"],
        "upper_value": lstm["metric"]["high"],
    }
    entry = lstm["latency"][0]
    names = ("batch_size", "length", "threads", "runtime")
    at = " ".join(f"{name}={entry[name]}" for name in names if name in entry)
    found = exported[f"fashion_mnist/lstm/cpu {at}"]["latency"]
    assert found["value"] == pytest.approx(1e9 * entry["median_s"], rel=1e-12)
    assert found["lower_value"] < found["value"] < found["upper_value"]
    assert exported["fashion_mnist/lstm/cpu"]["parameters"] == {"value": lstm["parameters"]}
    memory = [m for measures in exported.values() for m in measures if m.startswith("memory")]
    assert set(memory) == {"memory-inference", "memory-training"}


def test_github_has_only_figures_of_which_smaller_ones_are_better() -> None:
    result = export(FASHION, "github")
    exported = {each["name"]: each for each in json.loads(result.stdout)}
    lstm = case_of(FASHION, "lstm")
    error = exported["fashion_mnist/lstm/cpu error"]
    assert error["value"] == 1 - lstm["metric"]["mean"]
    low, high = map(float, error["range"].split(" to "))
    assert low < error["value"] < high
    assert error["unit"] == "fraction"
    assert not [name for name in exported if re.search("throughput|accuracy|parameters", name)]
    assert "since larger ones are better: throughput" in result.stderr


def test_metrics_of_failed_trials_are_left_out_and_named(copied: Path) -> None:
    fail_trial(copied, next(copied.glob("trials/gru-*-s1.json")).stem)
    for form in ("bmf", "github"):
        result = export(copied, form)
        assert "parity/gru/cpu (1 of 3 diverged)" in result.stderr
        assert "parity/rnn/cpu" in result.stdout
        assert not re.search(r'parity/gru/cpu( error|": \{\s*"accuracy)', result.stdout)
        assert f"parity/gru/cpu {AT}" in result.stdout  # timings do not depend on the seeds


# Tables.


def test_csv_is_that_of_show(timed: Path) -> None:
    shown = CliRunner().invoke(cli, ["show", str(timed), "--format", "csv"])
    assert export(timed, "csv").stdout.replace(f"{timed.absolute()}", "RUN") == (
        shown.stdout.replace(f"{timed}", "RUN")
    )


def test_pandas_reads_the_tables(copied: Path, tmp_path: Path) -> None:
    trial = next(copied.glob("trials/gru-*-s1.json")).stem
    fail_trial(copied, trial)
    tables = {}
    for table in ("cases", "trials", "curves"):
        path = tmp_path / f"{table}.csv"
        export(copied, "csv", "--table", table, "--output", path)
        tables[table] = pandas.read_csv(path)
    run = Run.open(copied)
    assert list(tables["cases"]["label"]) == ["rnn", "gru"]
    assert list(tables["cases"]["latency_batch_1_s"]) == [
        case["latency"][0]["median_s"] for case in run.document["cases"]
    ]
    trials = tables["trials"].set_index("trial")
    assert len(trials) == 6
    assert trials.loc[trial, "status"] == "diverged"
    assert list(trials["value"]) == [one["metrics"]["value"] for one in run.document["trials"]]
    curves = tables["curves"]
    assert len(curves) == 18
    assert set(curves["trial"]) == set(trials.index)
    losses = curves.groupby("trial")["train_loss"].apply(list)
    for record in run.records:
        assert losses[record.id] == [epoch["train_loss"] for epoch in record.curve]


def test_text_that_a_spreadsheet_would_run_is_defused(copied: Path) -> None:
    plan = json.loads((copied / "plan.json").read_text())
    plan["cases"][0]["label"] = "=1+1"
    (copied / "plan.json").write_text(json.dumps(plan))
    for table in ("cases", "trials", "curves"):
        rows = list(csv.DictReader(io.StringIO(export(copied, "csv", "--table", table).stdout)))
        assert rows[0]["label"] == "'=1+1"


# Every format.


def test_missing_trials_are_reported(copied: Path) -> None:
    next(copied.glob("trials/gru-*-s1.json")).unlink()
    for form in ("csv", "pytest-benchmark", "bmf", "github"):
        assert "1 of 6 trials are missing" in export(copied, form).stderr


def test_a_run_without_trials_has_nothing_to_export(copied: Path) -> None:
    for folder in ("trials", "cases"):
        shutil.rmtree(copied / folder)
    for form, what in (("bmf", "figures"), ("pytest-benchmark", "timings")):
        with pytest.raises(StoreError, match=f"has no {what} to export .*6 of 6 trials"):
            export(copied, form)
    assert "not run" not in export(copied, "csv").stdout


def test_names_of_cases_do_not_depend_on_the_other_cases(copied: Path) -> None:
    before = Source.open(copied).names
    plan = json.loads((copied / "plan.json").read_text())
    removed = plan["cases"].pop()
    plan["trials"] = [trial for trial in plan["trials"] if trial["case"] != removed["id"]]
    (copied / "plan.json").write_text(json.dumps(plan))
    after = Source.open(copied).names
    assert after.items() < before.items()
    plan["cases"][0]["label"] = "same"
    plan["cases"].append({**plan["cases"][0], "id": removed["id"]})
    (copied / "plan.json").write_text(json.dumps(plan))
    names = set(Source.open(copied).names.values())
    assert names == {f"parity/same/cpu {case['id']}" for case in plan["cases"]}


def test_the_output_is_replaced_or_printed(timed: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("earlier")
    done = export(timed, "bmf", "--output", path)
    assert done.stdout == f"wrote {path}\n"
    assert path.read_text() == export(timed, "bmf", "--output", "-").stdout
    assert path.read_text() == export(timed, "bmf").stdout


def test_places_that_do_not_fit_are_one_line(timed: Path, tmp_path: Path) -> None:
    for form, options, words in (
        ("bmf", ["--output", tmp_path], "is a folder; name a file"),
        ("bmf", ["--output", tmp_path / "no" / "x"], "does not exist"),
        ("bmf", ["--output", timed / "run.json"], "is inside the run"),
        ("bmf", ["--table", "trials"], "--table is for these formats only: csv, parquet"),
    ):
        before = (timed / "run.json").read_bytes()
        with pytest.raises(UsageError, match=words):
            export(timed, form, *options)
        assert (timed / "run.json").read_bytes() == before


def test_a_missing_package_is_one_line(
    timed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for form in FORMATS.values():
        if form.extra:
            expected = rf'needs {form.modules[0]}.*pip install "seqbench\[{form.extra}\]"'
            with pytest.raises(UsageError, match=expected):
                export(timed, form.name, "--output", tmp_path / "x")


def test_what_formats_need_is_an_extra_and_in_all() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    extras = dict(re.findall(r"^([\w-]+) = (\[.*?\])$", text, re.MULTILINE | re.DOTALL))
    for form in FORMATS.values():
        if form.extra:
            assert all(module in extras[form.extra] for module in form.modules)
            assert form.extra in re.findall(r"[\w-]+", extras["all"])


def test_every_format_is_documented() -> None:
    page = (ROOT / "docs" / "exports.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| .*\| .* \| .* \| .* \|$", page, re.MULTILINE)
    assert rows == list(dict.fromkeys(rows))
    assert set(rows) == set(FORMATS)


def test_the_command_reports_and_exits(seqbench_cli: Callable[..., Any], tmp_path: Path) -> None:
    shutil.copytree(FASHION, tmp_path / "results" / "fashion" / "20260101T000000.000Z-abcd")
    done = seqbench_cli("export", "abcd", "--format", "pytest-benchmark")
    assert done.returncode == 1
    assert done.stderr.startswith("error: pytest-benchmark needs the time of every call")
    done = seqbench_cli("export", "--format", "bmf", "--output", "-")
    assert (done.returncode, done.stderr) == (0, "")
    check_bmf(json.loads(done.stdout))
