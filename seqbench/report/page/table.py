"""The result table of the page: every column, sortable, with its interval."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from seqbench.report import numbers
from seqbench.report.charts.axes import Axis, axes, find_axis
from seqbench.report.charts.source import Group
from seqbench.report.columns.column import EXPORT_ONLY, Column
from seqbench.report.names import status_lines
from seqbench.report.text import clean


@dataclass(frozen=True)
class Cell:
    """One cell: what it shows, what it is sorted by, its interval, and whether it is the best.

    Args:
        key: a JSON number or string; empty for a missing figure, which is sorted last.
        mark: ``best``, ``tied`` (not distinguishable from the best), or "".
    """

    text: str
    key: str = ""
    interval: str = ""
    mark: str = ""
    letters: str = ""


@dataclass(frozen=True)
class Head:
    """The head of a column.

    Args:
        id: in the address of the page. shown: whether it is shown at first.
        higher: whether the largest figure comes first when it is sorted by.
    """

    id: str
    lines: tuple[str, ...]
    shown: bool = True
    text: bool = False
    higher: bool = False


@dataclass(frozen=True)
class Row:
    """The cells of one case; ``budget``: value and upper bound for each :class:`Budget`."""

    id: str
    failed: bool
    cells: tuple[Cell, ...]
    budget: tuple[tuple[float | None, float | None], ...]


@dataclass(frozen=True)
class Budget:
    """A limit that the reader can set, such as ``latency, batch 1`` in ``µs``."""

    name: str
    title: str
    unit: str


@dataclass(frozen=True)
class Table:
    """The table of a dataset; ``legend`` says what bold and ``~`` mean."""

    heads: tuple[Head, ...]
    rows: tuple[Row, ...]
    budgets: tuple[Budget, ...]
    legend: str


def table_of(group: Group) -> Table:
    """The table with every column, the best case first."""
    table, several = group.table, group.source.runs > 1
    columns = [column for column in table.columns if column.header[0] != "interval"]
    limits = [axis for axis in _limits(group) if axis is not None]
    names = [name for name, axis in zip(("latency", "memory"), _limits(group), strict=True) if axis]
    statuses = ["; ".join(status_lines(case)) for case in table.cases]
    heads = [Head("case", ("case",), text=True), Head("status", ("status",), text=True,
             shown=any(text != "ok" for text in statuses))]  # fmt: skip
    heads += [_head(column) for column in columns]
    rows = []
    for number in _ranked(group):
        case = table.cases[number]
        name = group.names[case["id"]]
        cells = [_text(name), _text(statuses[number])]
        cells += [_cell(column, number, compared=not several) for column in columns]
        budget = tuple(_figures(axis, number) for axis in limits)
        rows.append(Row(case["id"], statuses[number] != "ok", tuple(cells), budget))
    budgets = tuple(
        Budget(name, axis.name, axis.unit) for name, axis in zip(names, limits, strict=True)
    )
    return Table(tuple(heads), tuple(rows), budgets, _legend(columns, several=several))


def _limits(group: Group) -> list[Axis | None]:
    found = axes(group)
    return [find_axis(found, "latency"), find_axis(found, "memory_inference")]


def _ranked(group: Group) -> list[int]:
    """The rows by the metric, best first, those without it last."""
    column = next((c for c in group.table.columns if c.field == group.table.metric), None)
    sign = -1 if column is not None and column.better == "higher" else 1

    def rank(number: int) -> tuple[bool, float]:
        estimate = column.estimates[number] if column else None
        return estimate is None, sign * estimate.value if estimate else 0.0

    return sorted(range(len(group.table.cases)), key=rank)


def _head(column: Column) -> Head:
    lines = tuple(clean(line) for line in column.header if line)
    higher = column.better == "higher" or column.field.startswith("throughput")
    return Head(column.field or " ".join(lines), lines, shown=column.rank == 0, higher=higher)


def _text(text: str) -> Cell:
    return Cell(text, json.dumps(text.lower()))


def _cell(column: Column, number: int, *, compared: bool) -> Cell:
    estimate = column.estimates[number]
    text = column.texts[number]
    if estimate is None:
        return Cell(text if text != numbers.MISSING else numbers.NOT_AVAILABLE)
    value = estimate.value
    key = json.dumps(value) if math.isfinite(value) else json.dumps(1e308 if value > 0 else -1e308)
    mark = letters = ""
    if compared:
        mark = "best" if column.top[number] else "tied" if column.best[number] else ""
        letters = column.letters[number] if column.letters else ""
    return Cell(text, key, _interval(column, number), mark, letters)


def _interval(column: Column, number: int) -> str:
    """``87.3–89.3``, in the unit of the column; "" without an interval."""
    estimate = column.estimates[number]
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    factor = Axis(column).factor
    low, high = estimate.low / factor, estimate.high / factor
    half = (high - low) / 2
    decimals = numbers.decimals_for(half, 2) if half else numbers.decimals_for(low)
    if decimals is None:
        return f"{low:.3g}–{high:.3g}"
    return f"{low:,.{decimals}f}–{high:,.{decimals}f}"


def _figures(axis: Axis, number: int) -> tuple[float | None, float | None]:
    """The figure and its upper bound, in the unit of the axis."""
    estimate = axis.column.estimates[number]
    if estimate is None:
        return None, None
    high = estimate.high if estimate.high is not None else estimate.value
    return estimate.value / axis.factor, high / axis.factor


def _legend(columns: Sequence[Column], *, several: bool) -> str:
    if several:
        return "Cases of different runs are not compared: nothing is marked as best."
    marked = [column for column in columns if column.rank < EXPORT_ONLY and any(column.best)]
    if not marked:
        return ""
    text = "Bold: the best of the column. ~: not distinguishable from the best."
    if any(column.letters and any(column.letters) for column in columns):
        text += " Cases that share a letter are not distinguishable from each other."
    return text
