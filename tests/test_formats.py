"""Every view of a kept run in every format, read again: the figures are those of the document."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from readers import Rows, html_tables, latex_tables, markdown_tables, svg_lines

from seqbench import Run
from seqbench.report.exports.csv import to_csv
from seqbench.report.exports.html import to_html
from seqbench.report.exports.latex import to_latex
from seqbench.report.exports.markdown import to_markdown
from seqbench.report.terminal.report import print_report
from seqbench.report.terminal.svg import save_svg
from seqbench.report.views.confusion import confusion_view
from seqbench.report.views.export import RENDERERS
from seqbench.report.views.memory import memory_view
from seqbench.report.views.pairs import pairs_view
from seqbench.report.views.sheet import View

REFERENCE = ROOT / "results" / "reference"
FASHION = REFERENCE / "fashion"
KEPT = [FASHION, REFERENCE / "zoo"]

#: The options of ``seqbench show`` for each view.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "memory": ("--memory",),
    "pairs": ("--pairs",),
    "confusion": ("--confusion", "gru"),
}

READERS: Mapping[str, Callable[[str], list[Rows]]] = {
    "markdown": markdown_tables,
    "latex": latex_tables,
    "html": html_tables,
}

Document = Mapping[str, Any]

#: The sizes of the units in tables.
UNITS = {
    "ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "MiB": 2.0**20, "GiB": 2.0**30, "seq/s": 1.0,
    "k seq/s": 1e3, "k": 1e3, "M": 1e6, "% (± 95 % CI)": 0.01, "(± 95 % CI)": 1.0,
}  # fmt: skip


def view_of(document: Any, name: str) -> View:
    if name == "confusion":
        return confusion_view(document, "gru")
    return memory_view(document) if name == "memory" else pairs_view(document)


def printed(folder: Path, cli: Callable[..., Any], cwd: Path, options: tuple[str, ...]) -> str:
    """What ``seqbench show`` writes, which must be without complaint."""
    done = cli("show", folder, *options)
    assert (done.returncode, done.stderr) == (0, "")
    picture = cwd / "picture.svg"
    return picture.read_text(encoding="utf-8") if "--svg" in options else done.stdout


def lines_of(text: str, form: str) -> list[str]:
    """What is seen in the terminal, without the marks of figures and the space between words."""
    lines = svg_lines(text) if form == "svg" else text.splitlines()
    return [" ".join(re.sub(r"(?<=\d)[*~]", "", line).split()) for line in lines]


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown", "latex", "svg", "html"])
@pytest.mark.parametrize("view", ["memory", "pairs", "confusion"])
def test_every_view_in_every_format(
    view: str, form: str, seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    drawn = ("--svg", "picture.svg") if form == "svg" else ("--format", form)
    text = printed(FASHION, seqbench_cli, tmp_path, (*OPTIONS[view], *drawn))
    expected = view_of(Run.open(FASHION).document, view)
    assert expected.sheets
    records = [record for sheet in expected.sheets for record in sheet.records]
    if form == "json":
        tables = json.loads(text)["tables"]
        assert [record for table in tables for record in table["records"]] == records
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        for row, record in zip(rows, records, strict=True):
            assert {name: row[name] for name in record} == {
                name: "" if value is None else str(value) for name, value in record.items()
            }
    elif form in READERS:
        tables = READERS[form](text)
        for table, sheet in zip(tables, expected.sheets, strict=True):
            assert table == [list(sheet.headers), *map(list, sheet.texts)]
    else:
        lines = lines_of(text, form)
        for sheet in expected.sheets:
            figures = [
                n
                for n, (header, side) in enumerate(zip(sheet.headers, sheet.sides, strict=True))
                if side == "r" and header not in sheet.optional  # names may be wrapped
            ]
            for cells in sheet.texts:
                assert any(all(cells[n] in line for n in figures) for line in lines), cells


def test_the_terminal_has_the_figures_of_markdown(
    seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    """The picture is narrower: it has the metric, but not every column."""
    wide = seqbench_cli("show", FASHION, COLUMNS="160").stdout
    picture = printed(FASHION, seqbench_cli, tmp_path, ("--svg", "picture.svg"))
    (table,) = markdown_tables(to_markdown(Run.open(FASHION).document))
    for label, *cells in table[1:]:
        wanted = [re.sub(r" [a-z]+$", "", cell).replace(" ± ", "±") for cell in cells]
        for shown, least in (
            (lines_of(wide, "table"), wanted),
            (lines_of(picture, "svg"), wanted[:1]),
        ):
            (line,) = [line for line in shown if line.startswith(f"{label} ") and " ± " in line]
            assert set(least) <= set(line.replace(" ± ", "±").split())


def test_a_picture_has_every_line_to_its_end(tmp_path: Path) -> None:
    document: Any = Run.open(FASHION).document
    document["run"] = "/".join(["results", *["folder"] * 30, "end"])
    save_svg(tmp_path / "x.svg", partial(print_report, document), title="x")
    lines = svg_lines((tmp_path / "x.svg").read_text(encoding="utf-8"))
    assert max(map(len, lines)) <= 100
    assert "".join(lines).endswith("folder/end")


# ----------------------------------------------------------------------------- rounding


def documented(case: Document, head: str) -> list[float]:
    """The figure of a case that a column shows, and its half-width if it has one."""
    words = head.split(", ")
    if words[0].startswith("test "):
        metric = case["metric"]
        return [metric["mean"], (metric["high"] - metric["low"]) / 2]
    if words[0] in ("latency", "throughput"):
        size = int(words[1].removeprefix("batch "))
        (entry,) = [one for one in case[words[0]] if one["batch_size"] == size]
        return [entry["median_s" if words[0] == "latency" else "per_s"]]
    if words[0] == "memory":
        return [case["memory"][f"{words[1]}_bytes"]]
    found = case["seeds"]["ok"] if words[0] == "seeds" else case[words[0].lower()]
    return [] if found is None else [found]


def assert_rounded(text: str, value: float, size: float = 1.0) -> None:
    """That a figure is ``value``, in units of ``size``, to the last of its digits."""
    plain = text.rstrip("?").replace(",", "")
    digit = 10.0 ** -len(plain.partition(".")[2])
    assert abs(float(plain) - value / size) <= digit * (0.5 + 1e-6), (text, value)


def result_tables_of(document: Any, form: str) -> list[Rows]:
    """The result tables in a format, all with the headers of the Markdown table."""
    tables = markdown_tables(to_markdown(document))
    if form == "markdown":
        return tables
    others = html_tables(to_html(document)) if form == "html" else latex_tables(to_latex(document))
    return [
        [table[0], *other[-len(table) + 1 :]] for table, other in zip(tables, others, strict=True)
    ]


@pytest.mark.parametrize("form", ["markdown", "latex", "html"])
@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_result_tables_show_the_figures_of_the_document_rounded(folder: Path, form: str) -> None:
    document: Any = Run.open(folder).document
    cases = {case["label"]: case for case in document["cases"]}
    (table,) = result_tables_of(document, form)
    assert [row[0] for row in table[1:]] == list(cases)
    for label, *row in table[1:]:
        for head, cell in zip(table[0][1:], row, strict=True):
            figures = re.sub(r" [a-j]+$", "", cell).split(" ± ")
            expected = documented(cases[label], head)
            size = UNITS[head.split(", ")[-1]] if ", " in head else 1.0
            assert (figures == ["—"]) == (expected == [])
            for text, value in zip(figures, expected, strict=True) if expected else ():
                assert_rounded(text, value, size)


def test_latex_shows_every_interval_on_request() -> None:
    document: Any = Run.open(FASHION).document
    (table,) = latex_tables(to_latex(document, intervals=True))
    for case, row in zip(document["cases"], table[-len(document["cases"]) :], strict=True):
        entries = [*case["latency"], *case["throughput"]]
        bounds = [("low_s", "high_s")] * len(case["latency"]) + [("low_per_s", "high_per_s")]
        cells = [cell for cell in row if "[" in cell]
        sizes = [1e-6] * len(case["latency"]) + [1.0]
        for cell, entry, names, size in zip(cells, entries, bounds, sizes, strict=True):
            found = re.fullmatch(r"[\d.,]+ \[([\d.,]+)–([\d.,]+)\]", cell)
            assert found
            for text, name in zip(found.groups(), names, strict=True):
                assert_rounded(text, entry[name], size)


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_csv_has_the_figures_of_the_document_in_full_precision(folder: Path) -> None:
    document: Any = Run.open(folder).document
    rows = list(csv.DictReader(io.StringIO(to_csv(document))))
    for case, row in zip(document["cases"], rows, strict=True):
        metric = case["metric"]
        expected = {
            metric["name"]: metric["mean"],
            f"{metric['name']}_low": metric["low"],
            f"{metric['name']}_high": metric["high"],
            "parameters": case["parameters"],
            "macs": case["macs"],
            "memory_inference_bytes": case["memory"]["inference_bytes"],
            "memory_training_bytes": case["memory"]["training_bytes"],
        }
        for entry in case["latency"]:
            name = f"latency_batch_{entry['batch_size']}"
            parts = {"": "median_s", "_low": "low_s", "_high": "high_s", "_p90": "p90_s"}
            expected |= {f"{name}{part}_s": entry[key] for part, key in parts.items()}
        for entry in case["throughput"]:
            name = f"throughput_batch_{entry['batch_size']}"
            parts = {"": "per_s", "_low": "low_per_s", "_high": "high_per_s"}
            expected |= {f"{name}{part}_per_s": entry[key] for part, key in parts.items()}
        for name, value in expected.items():
            assert row[name] == ("" if value is None else repr(value)), name


def test_views_show_the_figures_of_their_records_rounded() -> None:
    document: Any = Run.open(FASHION).document
    for sheet in memory_view(document).sheets:
        for texts, record in zip(sheet.texts, sheet.records, strict=True):
            sizes = [value for name, value in record.items() if name.endswith("_bytes")]
            for text, value in zip(texts[1:], sizes, strict=True):
                assert_rounded(text, value, 2.0**20)
    for sheet in pairs_view(document).sheets:
        for texts, record in zip(sheet.texts, sheet.records, strict=True):
            row = dict(zip(sheet.headers, texts, strict=True))
            size = 0.01 if record["quantity"] == "accuracy" else 1.0
            low, high = row["95 % CI"].split(" to ")
            for text, name in ((texts[2], "effect"), (low, "low"), (high, "high")):
                assert_rounded(text, record[name], size)
            for text, name in ((row["p"], "p"), (row["p corr."], "p_corrected")):
                assert record[name] < 0.001 if text == "<0.001" else True
                if text != "<0.001":
                    assert_rounded(text, record[name])
    (sheet,) = confusion_view(document, "gru").sheets
    shares = {(record["true"], record["predicted"]): record["share"] for record in sheet.records}
    for name, *cells, recall in sheet.texts:
        for other, text in zip(sheet.headers[1:-1], cells, strict=True):
            if text == "<0.1":
                assert 0 < shares[name, other] < 0.0005
            elif text != ">99":
                assert_rounded(text, shares[name, other], 0.01)
        assert_rounded(recall, shares[name, name], 0.01)


# ------------------------------------------------------------------------ what is refused

HOSTILE = "</td><script>alert(1)</script>&amp;'\"=x|`*_\\input{y}"


def test_hostile_names_are_text_in_html() -> None:
    document: Any = Run.open(FASHION).document
    for number, case in enumerate(document["cases"]):
        case["label"] = f"{number}{HOSTILE} 中"
        case["dataset"] = case["dataset_label"] = HOSTILE
    document["run"] = HOSTILE
    for case in document["cases"]:
        for view in (*map(partial(view_of, document), ("memory", "pairs")),
                     confusion_view(document, case["label"])):  # fmt: skip
            text = RENDERERS["html"](view)
            assert "<script" not in text
            assert text.isascii()
            tables = html_tables(text)
            for table, sheet in zip(tables, view.sheets, strict=True):
                assert table == [list(sheet.headers), *map(list, sheet.texts)]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--pairs --memory", "--memory and --pairs cannot be combined: choose one view"),
        ("--pairs --confusion gru", "--pairs and --confusion cannot be combined: choose one view"),
        ("--svg x.svg --format csv", "--svg and --format csv cannot be combined: choose one"),
        ("--pairs --svg x.svg --format csv", "--svg and --format csv cannot be combined"),
        ("--pairs --format htm", "--format htm is not available for --pairs; did you mean 'html'?"),
        ("--memory --format pdf", "--format pdf is not available for --memory; available: table, "
                                  "json, markdown, csv, latex, html"),
        ("--pairs --explain", "--explain is for the tables in the terminal only"),
        ("--format latex --all", "--all is for the tables in the terminal only"),
        ("--confusion lsmt --format csv", "--confusion lsmt: this run has no model 'lsmt'; did you "
                                          "mean 'lstm'?"),
        ("--confusion lsmt --svg x.svg", "--confusion lsmt: this run has no model 'lsmt'"),
        ("--param intervals=true", "--param sets a parameter of a report; name one with --format"),
        ("--pairs --format latex --param intervals=true", "--param sets a parameter of a report"),
        ("--format latex --param interval=true", "latex has no parameter 'interval'; did you mean "
                                                 "'intervals'?"),
        ("--format latex --param intervals=3", "latex, intervals: 3 is a whole number, not true or "
                                               "false"),
        ("--format csv --param a=1", "csv has no parameter 'a'; it has no parameters"),
        ("--format latex --param intervals", "--param intervals: write KEY=VALUE"),
    ],
)  # fmt: skip
def test_what_is_impossible_is_refused_in_one_line(
    options: str, problem: str, seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    done = seqbench_cli("show", FASHION, *options.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {problem}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x.svg").exists()


def test_a_report_takes_parameters_on_the_command_line(seqbench_cli: Callable[..., Any]) -> None:
    done = seqbench_cli("show", FASHION, "--format", "latex", "--param", "intervals=true")
    assert done.stdout == to_latex(Run.open(FASHION).document, intervals=True).replace(
        Run.open(FASHION).document["run"], str(FASHION)
    )


def test_csv_without_figures_says_why(finished: Path, seqbench_cli: Callable[..., Any]) -> None:
    for case in (finished / "cases").glob("*.json"):
        case.unlink()
    done = seqbench_cli("show", finished, "--memory", "--format", "csv")
    assert (done.returncode, done.stdout) == (0, "table\n")
    assert done.stderr.startswith("No memory figures in this run")
