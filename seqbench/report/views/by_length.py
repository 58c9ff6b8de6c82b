"""Latency and memory at each measured length, as tables of a view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seqbench.report import numbers
from seqbench.report.columns.column import Case, Document
from seqbench.report.columns.shared import exact, in_unit
from seqbench.report.columns.speed import (
    latency_at,
    latency_settings,
    measurement_settings,
    median_of,
    named_settings,
    setting_words,
)
from seqbench.report.columns.table import ResultTable
from seqbench.report.numbers import Estimate, Scale
from seqbench.report.text import clean
from seqbench.report.views.figures_across import (
    Across,
    Cell,
    Texts,
    case_names,
    identity,
    sheets_of,
)
from seqbench.report.views.sheet import Sheet

MODES = ("inference", "training")

NOT_MEASURED = "not measured at this length"

#: Digits of memory below this many MiB are not shown.
FINEST = 0.01


def cost_sheets(table: ResultTable, document: Document, on: str) -> Iterator[Sheet]:
    """A table for each setting of latency, and for memory in inference and training; none for what
    was measured at one length only.

    Args:
        on: `` on adding``, where the dataset has to be named.
    """
    names = case_names(table.cases, document)
    for across in (*_latencies(table.cases, names, on), *_memories(table.cases, names, on)):
        yield from sheets_of(across)


def _latencies(cases: Sequence[Case], names: Sequence[str], on: str) -> Iterator[Across]:
    """Latency at each batch size, number of threads and runtime."""
    found = latency_settings(cases)
    apart = [{name: at[name] for name in at if name != "length"} for at in found]
    named = [name for name in named_settings(cases, found) if name != "length"]
    for at in (one for number, one in enumerate(apart) if one not in apart[:number]):
        lengths = _in_order(
            {one["length"] for one in found if at.items() <= one.items() and one["length"]}
            | {one["length"] for case in cases for one in _failed(case, "latency", at)}
        )
        if len(lengths) < 2:
            continue
        columns = [[_latency(case, {**at, "length": length}) for case in cases]
                   for length in lengths]  # fmt: skip
        texts, unit = _in_common_unit(columns, numbers.TIME)
        words = setting_words({"length": None, **at}, named)
        yield Across(
            title=f"latency{on} by length, {words}",
            unit=f", {unit}",
            rows=names,
            columns=list(zip(map(_head, lengths), columns, strict=True)),
            texts=texts,
        )


def _in_order(lengths: set[Any]) -> list[Any]:
    """Shortest first. What is no number, such as lengths as in the data, follows."""
    return sorted(lengths, key=lambda length: (isinstance(length, str), length))


def _head(length: int | str) -> str:
    return clean(length).replace("_", " ") if isinstance(length, str) else f"{length:,}"


def _latency(case: Case, at: Mapping[str, Any]) -> Cell:
    entry = latency_at(case, at)
    estimate = median_of(entry)
    reason = "" if estimate else _why(case, "latency", at)
    figures = {name: entry.get(name) for name in ("median_s", "low_s", "high_s", "n", "processes")}
    record = {**identity(case), "quantity": "latency", **at, **figures, "missing": reason}
    return Cell(estimate, reason, record)


def _memories(cases: Sequence[Case], names: Sequence[str], on: str) -> Iterator[Across]:
    """The peak of memory, weights included."""
    for mode in MODES:
        at = {"mode": mode}
        lengths = _in_order(
            {one["length"] for case in cases for one in case["lengths"] if _bytes(one, mode)}
            | {one["length"] for case in cases for one in _failed(case, "memory", at)}
        )
        if len(lengths) < 2:
            continue
        columns = [[_memory(case, mode, length) for case in cases] for length in lengths]
        texts, unit = _in_common_unit(columns, numbers.BYTES)
        sizes = sorted({case["memory"]["batch_size"] for case in cases if case["memory"]})
        batch = f", batch {', '.join(map(str, sizes))}" if sizes else ""
        yield Across(
            title=f"memory in {mode}{on} by length{batch}",
            unit=f", {unit}",
            rows=names,
            columns=list(zip(map(_head, lengths), columns, strict=True)),
            texts=texts,
        )


def _bytes(entry: Mapping[str, Any], mode: str) -> int | None:
    found: int | None = entry[f"{mode}_bytes"]
    return found


def _memory(case: Case, mode: str, length: Any) -> Cell:
    entry = next((one for one in case["lengths"] if one["length"] == length), None)
    total = _bytes(entry, mode) if entry else None
    estimate = exact(total)
    at = {"mode": mode, "length": length}
    reason = "" if estimate else _why(case, "memory", at)
    working = entry[f"{mode}_working_bytes"] if entry else None
    sizes = {"bytes": total, "working_bytes": working}
    record = {**identity(case), "quantity": "memory", **at, **sizes, "missing": reason}
    return Cell(estimate, reason, record)


def _in_common_unit(columns: Sequence[Sequence[Cell]], scale: Scale) -> tuple[Texts, str]:
    """A formatter of all figures of a table, and the name of their unit."""
    known = [cell.estimate.value for cells in columns for cell in cells if cell.estimate]
    unit = numbers.common_unit(known, scale)
    finest = FINEST if scale is numbers.BYTES else 0.0

    def texts(estimates: Sequence[Estimate | None]) -> list[str]:
        return [in_unit(estimate, unit, finest=finest) for estimate in estimates]

    return texts, unit.name


def _failed(case: Case, quantity: str, at: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The measurements of a quantity that failed at some length."""
    own = [e for e in case["unmeasured"] if e["quantity"] == quantity and "length" in e]
    if quantity == "latency":
        return [one for one in own if at.items() <= measurement_settings(one).items()]
    return [one for one in own if one.get("mode") == at["mode"]]


def _why(case: Case, quantity: str, at: Mapping[str, Any]) -> str:
    """Why there is no figure at a length."""
    for one in _failed(case, quantity, {n: v for n, v in at.items() if n != "length"}):
        if one["length"] == at["length"]:
            return clean(one["reason"])
    if not case["seeds"].get("ok"):
        return "no seed succeeded"
    return NOT_MEASURED
