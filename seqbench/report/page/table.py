"""The result table of the page: every column, sortable, with its interval."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seqbench.report import notes, numbers
from seqbench.report.charts.axes import Axis, budget_axes
from seqbench.report.charts.source import Group
from seqbench.report.columns.column import Column
from seqbench.report.names import status_lines
from seqbench.report.parts import part_lines
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
    """The cells of one case; ``budget``: where its figure may lie, for each :class:`Budget`."""

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
    """The table of a dataset; ``legend`` says what its marks and its metric mean."""

    heads: tuple[Head, ...]
    rows: tuple[Row, ...]
    budgets: tuple[Budget, ...]
    legend: tuple[str, ...]


def table_of(group: Group) -> Table:
    """The table with every column, the best case first."""
    table, several = group.table, group.data.runs > 1
    columns = [column for column in table.columns if column.header[0] != "interval"]
    limits = budget_axes(group)
    statuses = ["; ".join(status_lines(case)) for case in table.cases]
    failures = any(text != "ok" for text in statuses)
    heads = [
        Head("case", ("case",), text=True),
        Head("status", ("status",), text=True, shown=failures),
        *map(_head, columns),
    ]
    rows = []
    for number in group.ranked:
        case = table.cases[number]
        cells = [_text(group.names[case["id"]]), _text(statuses[number])]
        cells += [_cell(column, number, compared=not several) for column in columns]
        budget = tuple(axis.range(number, case) for axis in limits.values())
        rows.append(Row(case["id"], statuses[number] != "ok", tuple(cells), budget))
    budgets = tuple(
        Budget(name, f"median {axis.name}" if name == "latency" else axis.name, axis.unit)
        for name, axis in limits.items()
    )
    legend = (*_legend(columns, several=several), *part_lines(group.data.document, [table]))
    return Table(tuple(heads), tuple(rows), budgets, legend)


def _head(column: Column) -> Head:
    lines = tuple(clean(line) for line in column.header if line)
    return Head(column.field, lines, shown=column.rank == 0, higher=column.higher_is_better)


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
    bounds = None if estimate is None else Axis(column).bounds(estimate)
    if bounds is None:
        return ""
    low, high = bounds
    half = (high - low) / 2
    decimals = numbers.decimals_for(half, 2) if half else numbers.decimals_for(low)
    if decimals is None:
        return f"{low:.3g}–{high:.3g}"
    return f"{low:,.{decimals}f}–{high:,.{decimals}f}"


def _legend(columns: Sequence[Column], *, several: bool) -> tuple[str, ...]:
    """What the marks of the table mean."""
    if several:
        none = [replace(column, better=None) for column in columns]
        mine = "Cases of different runs are not compared: nothing is marked as best."
        return (mine, *notes.legend(none, "bold", "~"))
    return (*notes.legend(columns, "bold", "~"), *notes.letters_line(columns))
