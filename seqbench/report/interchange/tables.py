"""The tables that CSV and Parquet hold: rows of plain Python values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seqbench.report.exports.part_rows import part_rows
from seqbench.report.exports.rows import to_rows
from seqbench.report.interchange.source import Source
from seqbench.report.run import Run

Row = dict[str, Any]


def rows_of(source: Source, table: str) -> list[Row]:
    """The rows of a table, all with the same keys; None where a row has no value.

    Args:
        table: ``cases``, ``trials``, ``curves`` or ``parts``.
    """
    rows = TABLES[table](source)
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]


def _cases(source: Source) -> list[Row]:
    return to_rows(source.document)


def _trials(source: Source) -> list[Row]:
    """One row for each trial that has ended: what it was made with, its status and metrics."""
    return [
        {
            "suite": source.document["suite"],
            "run": source.document["run"],
            "trial": row.pop("id"),
            **row,
        }
        for row in Run(source.path, source.document).to_dicts()
    ]


def _curves(source: Source) -> list[Row]:
    """One row for each epoch of each trial."""
    trials = {trial["id"]: trial for trial in source.document["trials"]}
    names = ("case", "label", "model", "dataset", "device", "seed", "status", "metric")
    return [
        {
            "suite": source.document["suite"],
            "run": source.document["run"],
            "trial": record.id,
            **{name: trials[record.id][name] for name in names},  # type: ignore[literal-required]
            **_resample(trials[record.id]),
            **epoch,
        }
        for record in source.trials
        for epoch in record.curve
    ]


def _resample(trial: Mapping[str, Any]) -> Row:
    return {"resample": trial["resample"]} if "resample" in trial else {}


def _parts(source: Source) -> list[Row]:
    """One row for each part of the test split of each successful trial, and each metric."""
    run = {"suite": source.document["suite"], "run": source.document["run"]}
    return [{**run, **row} for row in part_rows(source.document)]


TABLES: Mapping[str, Callable[[Source], list[Row]]] = {
    "cases": _cases,
    "trials": _trials,
    "curves": _curves,
    "parts": _parts,
}
