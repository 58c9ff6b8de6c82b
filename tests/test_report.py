"""The report: no figure is cut, no difference is overstated, no text is executed."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_documents import print_everything
from rich.cells import cell_len
from rich.console import Console

from seqbench.report import notes, numbers
from seqbench.report.caveats import caveats
from seqbench.report.columns.column import Column
from seqbench.report.columns.table import result_tables
from seqbench.report.exports.csv import to_csv
from seqbench.report.exports.latex import to_latex
from seqbench.report.exports.markdown import to_markdown
from seqbench.report.numbers import Estimate
from seqbench.report.terminal.report import print_report

SAMPLE = Path(__file__).parent / "data" / "document.json"
HOSTILE = ["[red]x[/]", "=cmd()", "\x1b[31mred", "a|b", "x_y&%", "</text><script>", "\\input{x}"]


@pytest.fixture
def document() -> Any:
    """The sample: untyped, since tests replace parts of it."""
    return json.loads(SAMPLE.read_text(encoding="utf-8"))


def rendered(document: Any, width: int = 80, **options: Any) -> str:
    file = io.StringIO()
    options = {"force_terminal": False, **options}
    print_everything(document, Console(file=file, width=width, highlight=False, **options))
    return file.getvalue()


def only(document: Any, *numbers: int) -> Any:
    """The document with only some of its cases."""
    return {**document, "cases": [document["cases"][number] for number in numbers]}


def column(document: Any, field: str, table: int = 0) -> Column:
    return next(c for c in result_tables(document)[table].columns if c.field == field)


def by_interval(document: Any, field: str, table: int = 0) -> Column:
    """The column as one of a quantity whose cases are not compared in pairs."""
    return replace(column(document, field, table), compared=None)


def with_intervals(document: Any, *intervals: tuple[float, float | None, float | None]) -> Any:
    """A document with one case per interval, which is that of its metric."""
    cases = []
    for number, (mean, low, high) in enumerate(intervals):
        case = copy.deepcopy(document["cases"][0])
        case.update(id=f"case-{number}", label=f"model {number}")
        case["metric"].update(mean=mean, low=low, high=high, n=1 if low is None else 3)
        cases.append(case)
    return {**document, "cases": cases, "trials": []}


# --------------------------------------------------------------------------------- the terminal


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_the_sample_shows_every_figure_at_every_width(document: Any, width: int) -> None:
    text = rendered(document, width)
    for expected in ("82.2 ± 2.1", "87.4 ± 0.7", "84.1", "14,010", "0.359", "0.00149"):
        assert expected in text
    assert "rnn relu num_layers=2 on fashion_mnist seed 2: diverged: the loss became nan" in (
        " ".join(text.split())
    )
    assert text.endswith(f"results: {document['run']}\n")


def test_one_table_unless_everything_is_asked_for(document: Any) -> None:
    equal = only(document, 0, 1, 2)
    for case in equal["cases"]:
        case["reference"] = {}
    everything = {width: rendered(equal, width).count("\ncase ") for width in (80, 120, 160)}
    assert everything == {80: 3, 120: 2, 160: 2}
    for width in (80, 160):
        file = io.StringIO()
        print_report(equal, Console(file=file, width=width, highlight=False))
        assert file.getvalue().count("\ncase ") + file.getvalue().startswith("case ") == 1
        assert ("p90" in file.getvalue()) == (width == 160)


def test_no_color_keeps_the_marks(document: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = rendered(document, force_terminal=True, color_system="standard")
    assert "32m" not in text
    assert "2.2*" in text


def test_decimal_points_line_up(document: Any) -> None:
    lines = rendered(document, 120).splitlines()
    rows = [line for line in lines if re.match(r"(rnn|lstm|gru) .*\d ± ", line)]
    assert [len({row.index(" ± ") for row in part}) for part in (rows[:4], rows[4:])] == [1, 1]
    aligned = numbers.aligned(["15.4*", "0.159", "—", "159*"])
    assert aligned == [" 15.4* ", "  0.159", "  —    ", "159*   "]


def test_references_are_shown_beside_the_measured_figures(document: Any) -> None:
    row = next(line for line in rendered(document).splitlines() if line.startswith("rnn relu  "))
    assert row.split()[:7] == ["rnn", "relu", "82.2", "±", "2.1", "82.1", "+0.1"]
    assert "reference" not in rendered(only(document, 4, 5))


def test_each_dataset_has_a_table(document: Any) -> None:
    text = rendered(document)
    assert "fashion_mnist  view=rows, validation=5000\n" in text
    assert "adding  length=50" in text
    assert text.index("test accuracy") < text.index("adding  length=50") < text.index("test mse")


def test_the_device_is_shown_if_there_are_several(document: Any) -> None:
    assert "device" not in rendered(document)
    document["cases"][1]["device"] = "cuda:0"
    assert "cuda:0" in rendered(document)


def test_a_case_without_successful_seeds_shows_a_dash_and_a_status(
    document: Any,
) -> None:
    case = document["cases"][3]
    case.update(metric=None, accuracy=None, latency=[], throughput=[], cold=None, memory=None)
    case.update(seeds={"diverged": 3}, reference={})
    row = next(line for line in rendered(document).splitlines() if "3 of 3 diverged" in line)
    assert row.split()[3] == numbers.MISSING
    assert column(document, "accuracy").texts[3] == numbers.MISSING


def test_all_cases_failed(document: Any) -> None:
    for case in document["cases"]:
        case.update(metric=None, accuracy=None, latency=[], throughput=[], cold=None, memory=None)
        case.update(seeds={"crashed": 3}, status="crashed", parameters=None, macs=None)
    assert rendered(document).count("3 of 3 crashed") == 6
    assert "mse" in rendered(document)  # from the trials
    for export in (to_markdown, to_csv, to_latex):
        assert export(document)


def test_an_empty_run_is_reported_as_such(document: Any) -> None:
    empty: Any = {**document, "cases": [], "trials": [], "status": "interrupted"}
    text = rendered(empty)
    assert "No trial has finished" in text
    assert "interrupted" in text
    for export in (to_markdown, to_csv, to_latex):
        export(empty)


# -------------------------------------------------------------------------- failures and warnings


def test_cases_with_another_version_than_planned_are_named(document: Any) -> None:
    for case in document["cases"]:
        case.update(distribution="pack", version="1.0")
    for trial in document["trials"]:
        trial["version"] = "1.0"
    assert not any("versions" in line for line in caveats(document))
    document["trials"][0]["version"] = "2.0"
    (line,) = [line for line in caveats(document) if "versions" in line]
    label = next(c for c in document["cases"] if c["id"] == document["trials"][0]["case"])["label"]
    assert f"{label} on " in line
    assert "with pack 2.0 instead of 1.0" in line


def test_failures_are_listed_up_to_a_limit(document: Any) -> None:
    trial = next(t for t in document["trials"] if t["status"] == "diverged")
    document["trials"] += [
        {**trial, "seed": seed, "reason": f"the loss became nan at step {seed}"}
        for seed in range(10, 35)
    ]
    lines = notes.failures(document, result_tables(document)[0])
    assert len(lines) == 11
    assert lines[-1] == "… and 16 more"
    assert "… and 16 more" in rendered(document)
    assert "… and 16 more" in to_markdown(document)
    assert "and 16 more" in to_latex(document)


def test_seeds_with_the_same_failure_share_a_line(document: Any) -> None:
    trial = next(t for t in document["trials"] if t["status"] == "diverged")
    trial.update(status="out_of_memory", reason="needed more than 2 GiB")
    document["trials"].append({**trial, "seed": 7})
    document["cases"][3]["reason"] = f"seed 2: {trial['reason']}; seed 7: {trial['reason']}"
    (line,) = notes.failures(document, result_tables(document)[0])
    assert line.endswith("seeds 2, 7: out of memory: needed more than 2 GiB")


def test_a_measurement_that_failed_is_listed(document: Any) -> None:
    first, other = document["cases"][0], document["cases"][3]
    late = {"quantity": "latency", "status": "failed", "reason": "no answer within 60 s"}
    first.update(status="failed", unmeasured=[late, late], latency=[])
    other["unmeasured"] = [{**late, "quantity": "memory"}]
    lines = notes.failures(document, result_tables(document)[0])
    assert lines[0].endswith(
        "rnn relu on fashion_mnist: measuring latency: failed: no answer within 60 s"
    )
    assert lines[-1].endswith("measuring memory: failed: no answer within 60 s")
    at = {"length": 28, "threads": 1, "runtime": "exported"}
    first["unmeasured"] = [{**late, **at, "batch_size": size} for size in (1, 64)]
    assert (
        "measuring latency (batch 1, batch 64): failed: "
        in notes.failures(document, result_tables(document)[0])[0]
    )
    first["unmeasured"] = [late, late]
    assert "measuring: failed" in rendered(document, 160)


def test_unstable_latency_is_a_warning_with_advice(document: Any) -> None:
    document["cases"][0]["latency"][0]["steady"] = False
    document["cases"][0]["step"] = [{"batch_size": 1, "threads": 1, "unstable": True}]
    text = " ".join(rendered(document).split())
    assert "Not steady when timing began: rnn relu on fashion_mnist (batch 1)" in text
    assert "(step), rnn on adding (batch 1)" in text.split("Unstable latency: ")[1]
    document["cases"][0]["step"] = []
    text = " ".join(rendered(document).split())
    assert "Unstable latency: rnn on adding (batch 1)" in text
    assert "measure.latency.budget" in text
    document["cases"][4]["latency"][0]["unstable"] = False
    assert "Unstable" not in rendered(document)


def test_different_training_is_reported(document: Any) -> None:
    assert "the same for all" in " ".join(rendered(document).split())
    document["cases"][1]["train"]["optimizer"] = {"name": "sgd", "params": {"lr": 0.01}}
    assert "differ in more than the model" in " ".join(rendered(document).split())


# ------------------------------------------------------------------------------------- the marks


def test_ties_are_all_marked(document: Any) -> None:
    tied = with_intervals(document, (0.87, 0.86, 0.88), (0.86, 0.84, 0.865), (0.8, 0.79, 0.81))
    assert by_interval(tied, "accuracy").best == (True, True, False)


def test_for_an_error_less_is_better(document: Any) -> None:
    assert by_interval(document, "mse", table=1).best == (False, True)
    assert by_interval(document, "latency_batch_1").best == (True, False, False, False)


def test_one_seed_proves_nothing(document: Any) -> None:
    lucky = with_intervals(document, (0.9, None, None), (0.87, 0.86, 0.88))
    assert by_interval(lucky, "accuracy").best == (False, False)
    close = with_intervals(document, (0.875, None, None), (0.88, 0.87, 0.89))
    assert by_interval(close, "accuracy").best == (False, False)


def test_nothing_is_marked_where_all_would_be(document: Any) -> None:
    tied = with_intervals(document, (0.87, 0.86, 0.88), (0.86, 0.84, 0.875), (0.86, 0.85, 0.88))
    assert by_interval(tied, "accuracy").best == (False, False, False)
    assert by_interval(tied, "accuracy").top == (False, False, False)


def test_a_single_row_has_no_marks(document: Any) -> None:
    text = rendered(only(document, 0), 120)
    assert "*" not in text
    assert not any("**" in line for line in to_markdown(only(document, 0)).splitlines()
                   if line.startswith("|"))  # fmt: skip


def test_memory_is_not_distinguished_below_its_resolution(document: Any) -> None:
    assert column(document, "memory_inference").best == (True, True, False, True)
    assert column(document, "memory_training").best == (True, False, False, False)


# --------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1594, "0.159"), (15.38, "15.4"), (1435.2, "1,435"), (9.996, "10.0"), (0, "0"),
     (1.234e-7, "1.23e-07"), (-0.05, "-0.0500"), (999_999.6, "1,000,000"), (2e9, "2.00e+09")],
)  # fmt: skip
def test_a_figure_has_three_significant_digits(value: float, text: str) -> None:
    assert numbers.figure(value) == text


@pytest.mark.parametrize(
    ("values", "unit"),
    [([159e-6, 366e-6], "µs"), ([86e-6, 3.2e-3], "µs"), ([86e-6, 30e-3], "ms"), ([2e-3], "ms"),
     ([5.0, 0.2], "ms"), ([20.0, 0.2], "s"), ([], "ns"), ([0.0], "ns")],
)  # fmt: skip
def test_one_unit_suits_the_column(values: list[float], unit: str) -> None:
    assert numbers.common_unit(values, numbers.TIME).name == unit


def test_an_interval_never_reads_zero_unless_it_is() -> None:
    narrow = [Estimate(0.991, 0.9909, 0.9911), Estimate(0.98, 0.97, 0.99)]
    texts = numbers.percentages(narrow, numbers.percent_decimals(narrow))
    assert texts == ["99.10 ± 0.01", "98.00 ± 1.00"]
    assert numbers.figures_with_interval([Estimate(0.171, 0.1708, 0.1712)]) == ["0.1710 ± 0.0002"]


def test_almost_perfect_is_not_perfect() -> None:
    almost = [Estimate(0.9996)]
    assert numbers.percentages(almost, numbers.percent_decimals(almost)) == ["99.96"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(44.6, "45 s"), (312.4, "5 min 12 s"), (7501, "2 h 5 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


# ---------------------------------------------------------------------------------- hostile text


def poisoned(document: Any, text: str) -> Any:
    """The document with ``text`` wherever a suite or a plugin can put text."""
    result = copy.deepcopy(document)
    result.update(notes=text, suite=text, run=text)
    result["environment"]["cpu"] = text
    for case in result["cases"]:
        case.update(label=text, model=text, dataset=text, device=text, note=text)
        case["dataset_params"] = {text: text}
        case["reason"] = text
        case["train"]["optimizer"] = {"name": text, "params": {}}
    for trial in result["trials"]:
        trial.update(label=text, reason=text)
    return result


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_shown_as_text(document: Any, name: str) -> None:
    text = rendered(poisoned(document, name), 160)
    assert name.replace("\x1b", "") in text
    assert "\x1b" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_escaped_in_exports(document: Any, name: str) -> None:
    sick = poisoned(document, name)
    markdown = to_markdown(sick)
    tables = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in tables}) == 1
    assert not re.search(r"(?<!\\)[<\[]", markdown)
    latex = "\n".join(li for li in to_latex(sick).splitlines() if not li.startswith("%"))
    assert r"\input" not in latex
    assert not re.search(r"\\\\\s*[\[*]", latex)
    assert not re.search(r"(?<!\\)[%#_]", latex)
    for export in (to_markdown, to_csv, to_latex):
        assert "\x1b" not in export(sick)


# ------------------------------------------------------------------------------------ properties

positive = st.floats(1e-7, 1e3)
estimates = st.tuples(st.floats(0, 1), st.floats(0, 0.3))


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """The sample with other figures and labels, and some of it missing."""
    document = json.loads(SAMPLE.read_text(encoding="utf-8"))
    number = draw(st.integers(1, 6))
    cases = draw(st.permutations(document["cases"]))[:number]
    metric_scale = draw(st.sampled_from([1, 1e-6, 1e5]))
    for case in cases:
        case["label"] = draw(st.text(max_size=40))
        case["device"] = draw(st.sampled_from(["cpu", "cuda:0"]))
        share = case["metric"]["name"] == "accuracy"
        mean, half = (x * (1 if share else metric_scale) for x in draw(estimates))
        case["metric"].update(mean=mean, low=mean - half, high=mean + half)
        if share and draw(st.booleans()):
            case["reference"] = {"accuracy": draw(st.floats(0, 1))}
        for entry in case["latency"]:
            middle = draw(positive)
            entry.update(median_s=middle, low_s=middle * 0.9, high_s=middle * 1.2)
        for entry in case["throughput"]:
            entry["per_s"] = draw(st.floats(1e-3, 1e9))
        case["memory"].update(inference_bytes=draw(st.integers(1, 10**12)))
        case.update(parameters=draw(st.integers(0, 10**11)), macs=draw(st.integers(0, 10**14)))
        if draw(st.booleans()):
            case["seeds"] = {"ok": 1, "out_of_memory": 2}
        if draw(st.booleans()):
            missing = draw(st.sampled_from(["latency", "memory", "metric"]))
            case[missing] = [] if missing == "latency" else None
    return {**document, "cases": cases}


@settings(max_examples=60, deadline=None)
@given(documents(), st.integers(60, 200))
def test_no_figure_is_ever_wrapped_cut_or_left_out(document: Any, width: int) -> None:
    text = rendered(document, width)
    *lines, last = text.splitlines()
    assert all(cell_len(line) <= width for line in lines)
    assert last == f"results: {document['run']}"
    words = Counter(re.split(r"\s+|[*~]", text.replace(" ± ", "±")))
    for table in result_tables(document):
        for shown in table.columns:
            if shown.rank == 0:
                for figure in set(shown.texts) - {numbers.MISSING}:
                    # Blanks may stand around the sign, to line the points up.
                    assert all(part in text for part in figure.split(" ± "))
                    if " ± " not in figure:
                        assert words[figure] >= shown.texts.count(figure)


@settings(max_examples=40, deadline=None)
@given(documents())
def test_exports_have_every_case_and_figure(document: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(document))))
    assert len(rows) == len(document["cases"])
    markdown, latex = to_markdown(document), to_latex(document)
    for table in result_tables(document):
        for shown in (c for c in table.columns if c.rank == 0):
            for figure in shown.texts:
                assert figure in markdown
                assert figure.split(" ± ")[0].lstrip("-—") in latex
