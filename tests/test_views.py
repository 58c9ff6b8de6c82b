"""Pairs, memory and confusion matrices in every format, with every figure and no column lost."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_documents import FIGURES, made, shown
from test_accuracy import classified, with_latencies

from seqbench import Run
from seqbench.report.exports.csv import to_csv
from seqbench.report.exports.latex import to_latex
from seqbench.report.exports.markdown import to_markdown
from seqbench.report.terminal.sheets import print_view
from seqbench.report.views.confusion import confusion_view
from seqbench.report.views.export import RENDERERS
from seqbench.report.views.memory import memory_view
from seqbench.report.views.pairs import pairs_view
from seqbench.report.views.sheet import View

FORMATS = ("json", "markdown", "csv", "latex", "html")


def rows_of(view: View) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(RENDERERS["csv"](view))))


def records_of(view: View) -> list[dict[str, Any]]:
    tables = json.loads(RENDERERS["json"](view))["tables"]
    return [record for table in tables for record in table["records"]]


def test_pairs_have_every_figure_of_every_comparison() -> None:
    document = with_latencies()
    view = pairs_view(document)
    compared = document["comparisons"]
    records, rows = records_of(view), rows_of(view)
    assert len(records) == len(rows) == len(compared) > 3
    for each in compared:
        (record,) = [
            one
            for one in records
            if (one["case_a"], one["case_b"], one["quantity"])
            == (each["a"], each["b"], each["quantity"])
            and all(one[name] == value for name, value in each["settings"].items())
        ]
        for name in ("scale", "effect", "low", "high", "p", "verdict", "n", "needed"):
            assert record[name] == each[name]
        row = rows[records.index(record)]
        assert float(row["effect"]) == each["effect"]
        assert float(row["p"]) == each["p"]
        assert row["verdict"] == each["verdict"]


def test_memory_has_every_figure_in_bytes_and_the_reasons_for_missing_ones(finished: Path) -> None:
    document: Any = Run.open(finished).document
    document["cases"][1]["memory"] = None
    document["cases"][1]["unmeasured"] = [
        {"quantity": "memory", "status": "failed", "reason": "no luck", "mode": "training"}
    ]
    records = records_of(memory_view(document))
    for case in document["cases"][:1]:
        for mode, figures in case["memory"]["breakdown"].items():
            found: dict[str, Any] = {}
            for record in records:
                if (record["case"], record["mode"]) == (case["id"], mode):
                    found |= {k: v for k, v in record.items() if k.endswith("_bytes")}
            assert found
            for name, value in found.items():
                assert value == figures[name.removesuffix("_bytes")]
    (missing,) = [
        record
        for record in records
        if record["case"] == document["cases"][1]["id"]
        and record["mode"] == "training"
        and "gradients_bytes" in record
    ]
    assert missing["gradients_bytes"] is None
    assert "gradients: no luck" in missing["missing"]
    markdown = RENDERERS["markdown"](memory_view(document))
    assert "n/a: gru: parameters, buffers, gradients, optimizer, activations, total: no luck" in (
        markdown.replace("\\", "")
    )


def test_a_confusion_matrix_has_every_pair_of_classes() -> None:
    few, many = (records_of(confusion_view(classified(n), "lstm")) for n in (4, 30))
    assert (len(few), len(many)) == (4 * 4, 30 * 30)
    document: Any = classified(4)
    case = next(case["id"] for case in document["cases"] if case["label"] == "lstm")
    counts = [t["metrics"]["confusion"] for t in document["trials"] if t["case"] == case]
    total = sum(sum(map(sum, table)) for table in counts)
    assert sum(record["count"] for record in few) == total
    assert "most frequent errors" in RENDERERS["latex"](confusion_view(classified(30), "lstm"))


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_in_the_terminal_is_in_every_format(form: str, finished: Path) -> None:
    for view in (pairs_view(with_latencies()), memory_view(Run.open(finished).document)):
        text = RENDERERS[form](view)
        for sheet in view.sheets:
            assert sheet.title.partition(":")[0] in text.replace("\\", "")
        if form in ("markdown", "latex"):
            plain = text.replace("\\", "").replace("$-$", "-").replace("{}", "")
            plain = plain.replace("textless", "<").replace("textgreater", ">")
            for sheet in view.sheets:
                for row in sheet.texts:
                    assert all(cell in plain for cell in row)
                assert all(header.partition(" ")[0] in plain for header in sheet.headers)
        assert view.run in text.replace("\\", "") or form == "csv"


def test_hostile_names_are_text_in_every_format() -> None:
    document = with_latencies()
    for case in document["cases"]:
        case["label"] = "=cmd|'x' & \\input{y}\x1b"
    view = pairs_view(document)
    assert all(row["a"].startswith("'=cmd") for row in rows_of(view))
    assert "\\|" in RENDERERS["markdown"](view)
    assert "\\input" not in RENDERERS["latex"](view)
    for form in ("csv", "markdown", "latex"):
        assert "\x1b" not in RENDERERS[form](view)


def test_a_view_without_figures_says_why_in_every_format() -> None:
    document = made({name: some[:1] for name, some in FIGURES.items()})
    for form in ("json", "markdown", "latex", "html"):
        text = RENDERERS[form](pairs_view({**document, "comparisons": []}))
        assert "No cases were compared" in text
        assert "No memory figures in this run" in RENDERERS[form](memory_view(document))
    assert "No memory figures" in shown(
        document, of=lambda d, console: print_view(memory_view(d), console)
    )


def test_no_column_is_left_out_of_an_export_without_a_word() -> None:
    document = made(FIGURES)
    for case in document["cases"]:
        case["cold"] = {"first_call_s": 0.001, "load_s": 0.1, "build_s": 0.2}
        case["serialized_bytes"] = 1000
    for text in (to_markdown(document), to_latex(document)):
        (line,) = [line for line in text.splitlines() if "not shown: " in line]
        assert "cold" in line
        assert "weights file" in line
        assert "--format csv" in line
    head = to_csv(document).splitlines()[0]
    assert {"cold_first_call_s", "cold_load_s", "cold_build_s"} < set(head.split(","))


def test_views_and_formats_are_combined_on_the_command_line(
    finished: Path, seqbench_cli: Callable[..., Any]
) -> None:
    pairs = seqbench_cli("show", "--pairs", "--format", "json")
    assert json.loads(pairs.stdout)["view"] == "pairs"
    assert seqbench_cli("show", "--memory", "--format", "csv").stdout.startswith("table,case,")
    matrix = seqbench_cli("show", "--confusion", "gru", "--format", "markdown")
    assert matrix.stdout.startswith("### gru on parity")
    for options, refusal in (
        (("--pairs", "--memory"), "--memory and --pairs cannot be combined"),
        (("--svg", "x.svg", "--format", "csv"), "--svg and --format csv cannot be combined"),
    ):
        refused = seqbench_cli("show", *options)
        assert (refused.returncode, refusal in refused.stderr) == (2, True)
