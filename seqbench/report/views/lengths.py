"""Figures by test set or by length: ``seqbench show RUN --lengths``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seqbench.records import AS_DATA
from seqbench.report.columns.column import Document
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.names import averaged_over
from seqbench.report.numbers import DOUBT, DOUBTFUL
from seqbench.report.parts import (
    are_sets,
    headline_words,
    on_dataset,
    padding_lines,
    parts_of,
)
from seqbench.report.views.by_length import cost_sheets
from seqbench.report.views.by_part import metric_sheets
from seqbench.report.views.sheet import Sheet, View


def lengths_view(document: Document) -> View:
    """For each dataset the metrics by test set or length, then latency and memory by length."""
    tables = result_tables(document)
    sheets: list[Sheet] = []
    for table in tables:
        on = on_dataset(table, tables)
        sheets += [*metric_sheets(table, document, on), *cost_sheets(table, document, on)]
    notes = [*_notes(document, tables, sheets), *padding_lines(document, tables)]
    return View("lengths", document["run"], tuple(sheets), tuple(notes))


def _notes(
    document: Document, tables: Sequence[ResultTable], sheets: Sequence[Sheet]
) -> Iterator[str]:
    """How to read the tables, and why something has none."""
    every = [parts_of(table.cases) for table in tables]
    for table in tables:
        words = headline_words(table.cases)
        if words:
            yield f"headline{on_dataset(table, tables)}: the {words}."
    if any(every):
        over = averaged_over(document["cases"])
        yield f"metrics: mean {over} ± half-width of its 95 % t interval."
    if any(parts and not are_sets(parts) for parts in every):
        yield (
            "by length: numbers of steps; with many lengths, ranges with about equally many "
            "sequences."
        )
    if any(e.get("length") == AS_DATA for case in document["cases"] for e in case["latency"]):
        yield "as data: test sequences of their own lengths, the mean over a cycle of calls."
    if any(text.endswith(DOUBTFUL) for s in sheets for row in s.texts for text in row):
        yield f"{DOUBTFUL}: 95 % interval wider than ±{100 * DOUBT:g} %."
    if any(case["memory"]["lower_bound"] for case in document["cases"] if case["memory"]):
        yield "memory: a lower bound; the exact peak is not available on this system."
    for table, parts in zip(tables, every, strict=True):
        if not parts:
            on = on_dataset(table, tables) or f" on {table.dataset}"
            yield f"No figures by test set or length{on}: {_why(table)}."
    yield from _one_length(document)


def _why(table: ResultTable) -> str:
    if not any(sum(case["seeds"].values()) for case in table.cases):
        return "no trial has run yet"
    if not any(case["seeds"].get("ok") for case in table.cases):
        return "no seed succeeded"
    for case in table.cases:
        if reason := (case.get("resamples") or {}).get("parts_reason"):
            return str(reason)
    return (
        "its test split is a single set of sequences of one length, or was evaluated by an older "
        "version of seqbench"
    )


def _one_length(document: Document) -> Iterator[str]:
    """That latency and memory have no table, if they were measured at one length."""
    found = {entry.get("length") for case in document["cases"] for entry in case["latency"]}
    for case in document["cases"]:
        found |= {one["length"] for one in case["lengths"] if one["inference_bytes"] is not None}
    if len(found) == 1:
        yield (
            "latency and memory: measured at one length; `measure.latency.seq_lens` in the suite "
            "adds others."
        )
