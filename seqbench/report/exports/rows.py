"""Export as rows: plain Python values, in full precision and SI units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seqbench.report.columns.column import Case, Column, Document
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.names import dataset_label
from seqbench.report.text import clean


def to_rows(document: Document) -> list[dict[str, Any]]:
    """One dictionary per case, all with the same keys; None where a case has no value.

    Parameters of the model and of the dataset have a key each: ``model.hidden_size``.
    """
    origin = {"suite": document["suite"], "run": document["run"]}
    rows = [
        {**_identity(case, table), **figures_of(table, number), **origin}
        for table in result_tables(document)
        for number, case in enumerate(table.cases)
    ]
    failed = dict.fromkeys(
        f"seeds_{status}" for case in document["cases"] for status in case["seeds"]
    )
    names = dict.fromkeys([*(name for row in rows for name in row), *failed])
    absent = {name: 0 if name in failed else None for name in names}
    return [{**absent, **row} for row in rows]


def _identity(case: Case, table: ResultTable) -> dict[str, Any]:
    return {
        "label": clean(case["label"]),
        "model": clean(case["model"]),
        "dataset": clean(case["dataset"]),
        "dataset_label": clean(dataset_label(case)),
        "device": clean(case["device"]),
        "status": case["status"],
        "reason": clean(case["reason"] or ""),
        "metric": table.metric,
        "case": case["id"],
        **{f"model.{name}": value for name, value in case["params"].items()},
        **{f"dataset.{name}": value for name, value in case["dataset_params"].items()},
        **{f"seeds_{status}": n for status, n in case["seeds"].items()},
    }


def figures_of(table: ResultTable, number: int) -> dict[str, float | str | None]:
    """The figures of one case of a table, with the SI unit in each name: ``latency_batch_1_s``."""
    return {
        name: value
        for column in table.columns
        if column.field
        for name, value in _figures(column, number)
    }


def _figures(column: Column, number: int) -> Iterator[tuple[str, float | str | None]]:
    """The figure of one case, with its bounds if the column has intervals, and its letters."""
    estimate = column.estimates[number]
    for part in ("value", "low", "high") if column.interval else ("value",):
        words = (column.field, part if part != "value" else "", column.si)
        yield "_".join(filter(None, words)), getattr(estimate, part, None)
    if column.letters is not None:
        yield f"{column.field}_group", column.letters[number]
