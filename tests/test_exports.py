"""The exports: full precision, every case, and text that is escaped."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.dom.minidom
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from seqbench.report.exports.csv import to_csv
from seqbench.report.exports.json import write_json
from seqbench.report.exports.latex import to_latex
from seqbench.report.exports.markdown import to_markdown
from seqbench.report.terminal.report import print_report
from seqbench.report.terminal.svg import save_svg

SAMPLE = Path(__file__).parent / "data" / "document.json"


@pytest.fixture
def document() -> Any:
    """The sample: untyped, since tests replace parts of it."""
    return json.loads(SAMPLE.read_text(encoding="utf-8"))


def test_csv_has_full_precision_and_units(document: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(document))))
    assert [row["label"] for row in rows] == [case["label"] for case in document["cases"]]
    metric = document["cases"][0]["metric"]
    for part in ("mean", "low", "high"):
        name = "accuracy" if part == "mean" else f"accuracy_{part}"
        assert float(rows[0][name]) == metric[part]
    assert float(rows[0]["latency_batch_64_s"]) == document["cases"][0]["latency"][1]["median_s"]
    assert rows[0]["memory_training_bytes"] == "4325584"
    assert rows[0]["mse"] == ""
    assert rows[5]["accuracy"] == ""
    assert float(rows[4]["mse"]) == document["cases"][4]["metric"]["mean"]
    assert rows[3]["seeds_diverged"] == "1"


def test_csv_leaves_negative_numbers_alone_and_defuses_text(document: Any) -> None:
    names = ["=cmd()", "+1", "-1", "@x", "\t=x", "\r=x"]
    for case, name in zip(document["cases"], names, strict=True):
        case["label"] = name
    rows = list(csv.DictReader(io.StringIO(to_csv(document))))
    assert [row["label"] for row in rows] == ["'=cmd()", "'+1", "'-1", "'@x", "'=x", "'=x"]
    assert float(rows[1]["difference_accuracy"]) < 0


def test_markdown_has_one_row_a_case_and_the_best_in_bold(document: Any) -> None:
    text = to_markdown(document)
    rows = [line for line in text.splitlines() if re.match(r"\| (rnn|lstm|gru)", line)]
    assert len(rows) == 6
    assert "| **2.2** |" in rows[1]
    assert "| 82.2 ± 2.1 |" in rows[0]
    assert "- rnn relu num\\_layers=2 on fashion\\_mnist seed 2: diverged" in text


def test_latex_is_a_balanced_booktabs_table(document: Any) -> None:
    text = to_latex(document)
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert r"\textbf{2.2}" in text
    columns = re.findall(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", text)
    bodies = text.split(r"\begin{tabular}")[1:]
    for layout, body in zip(columns, bodies, strict=True):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        for row in rows:
            spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row))
            assert len(re.findall(r"(?<!\\)&", row)) + spans == len(layout) - 1
    assert "seed 2}: diverged: the loss became nan at step 312" in text


def test_json_is_the_document(document: Any) -> None:
    written = io.StringIO()
    write_json(document, written)
    assert json.loads(written.getvalue()) == document


def test_svg_is_self_contained(document: Any, tmp_path: Path) -> None:
    document["cases"][0]["label"] = "</text><script>"
    draw = partial(print_report, document)
    save_svg(tmp_path / "report.svg", draw, title="seqbench run fashion", width=120)
    text = (tmp_path / "report.svg").read_text(encoding="utf-8")
    xml.dom.minidom.parseString(text)
    assert "seqbench&#160;run&#160;fashion<" in text
    assert set(re.findall(r"\w+://[^\"')\s]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "@font-face" not in text
    assert "<script>" not in text
