"""Export as CSV."""

from __future__ import annotations

import csv
import io

from seqbench.report.columns.column import Case, Document
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.exports.rows import figures_of
from seqbench.report.names import dataset_label
from seqbench.report.text import clean, settings


def to_csv(document: Document) -> str:
    """One row per case, in full precision, with the SI unit in each column's name.

    Text that a spreadsheet would read as a formula is prefixed with ``'``.
    """
    rows: list[dict[str, object]] = []
    for table in result_tables(document):
        for number, case in enumerate(table.cases):
            figures = figures_of(table, number).items()
            texts = {name: "" if value is None else value for name, value in figures}
            rows.append({**_identity(case, table, document), **texts})
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _identity(case: Case, table: ResultTable, document: Document) -> dict[str, object]:
    texts = {
        "suite": document["suite"],
        "run": document["run"],
        "case": case["id"],
        "label": case["label"],
        "model": case["model"],
        "params": settings(case["params"]),
        "dataset": case["dataset"],
        "dataset_label": dataset_label(case),
        "dataset_params": settings(case["dataset_params"]),
        "device": case["device"],
        "status": case["status"] or "",
        "reason": case["reason"] or "",
        "metric": table.metric,
    }
    seeds = {f"seeds_{status}": n for status, n in case["seeds"].items() if status != "ok"}
    return {**{name: defused(clean(text)) for name, text in texts.items()}, **seeds}


def defused(text: str) -> str:
    """Text that a spreadsheet does not read as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
