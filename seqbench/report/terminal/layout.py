"""Layout of tables: which columns fit side by side, and which rows are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from seqbench.report.columns.column import EXPORT_ONLY, Column
from seqbench.report.columns.table import ResultTable
from seqbench.report.numbers import aligned
from seqbench.report.terminal.style import GAP

BEST, TIED = "*", "~"

#: Labels may be wrapped to this width to make room for columns that are always shown …
NARROW_LABEL = 16

#: … and to this width to make room for others.
WIDE_LABEL = 40

#: Which groups of columns share a table, in order of preference.
WAYS = (
    (("quality", "speed", "memory", "cost"),),
    (("quality", "cost"), ("speed", "memory")),
    (("quality",), ("speed", "memory", "cost")),
    (("quality",), ("speed", "memory"), ("cost",)),
)


@dataclass(frozen=True)
class Frame:
    """The text columns of a table; an empty tuple means that the column is omitted."""

    labels: tuple[str, ...]
    devices: tuple[str, ...]
    statuses: tuple[str, ...]

    def room(self, most: int, *, first: bool) -> int:
        """Characters taken by the text columns if labels may take up to ``most``."""
        texts = [("device", self.devices), ("status", self.statuses if first else ())]
        others = sum(_width((header, *text)) + GAP for header, text in texts if text)
        return self.label_width(most) + others

    def label_width(self, most: int) -> int:
        return min(_width(("case", *self.labels)), most)


def _width(texts: Iterable[str]) -> int:
    return max(cell_len(line) for text in texts for line in text.split("\n"))


def layout(table: ResultTable, width: int, frame: Frame) -> list[list[Column]]:
    """Distribute the columns over one or more tables, one below the other, that fit ``width``.

    Columns that are always shown go into one table if they fit, otherwise into a few tables with
    related columns together, otherwise into as many as needed. Other columns are added where they
    fit, and those that do not follow in tables of their own.
    """
    shown = [column for column in table.columns if column.rank == 0]
    first, others = (width - frame.room(NARROW_LABEL, first=first) for first in (True, False))
    for way in WAYS:
        stacked = [[c for c in shown if c.group in groups] for groups in way]
        stacked = [columns for columns in stacked if columns]
        if _fits(stacked[0], first) and all(_fits(columns, others) for columns in stacked[1:]):
            break
    else:
        return _cut(shown, first, others)
    for column in sorted(table.columns, key=lambda column: column.rank):
        if 0 < column.rank < EXPORT_ONLY:
            _add_where_it_fits(column, stacked, table, width, frame)
    placed = [column for columns in stacked for column in columns]
    wanted = [c for c in table.columns if 0 < c.rank < EXPORT_ONLY and c not in placed]
    return stacked + (_cut(wanted, others, others) if wanted else [])


def one_table_each(
    tables: Sequence[ResultTable], width: int, frames: Sequence[Frame]
) -> list[list[list[Column]]]:
    """One table for each dataset, all with the same columns: the most important ones that fit.

    If not even those that the verdict is about fit, they are distributed over several tables.
    """
    room = width - max(frame.room(WIDE_LABEL, first=True) for frame in frames)
    least = width - max(frame.room(NARROW_LABEL, first=True) for frame in frames)
    by_header: dict[tuple[str, ...], list[Column]] = {}
    for table in tables:
        for column in table.columns:
            if column.rank < EXPORT_ONLY:
                by_header.setdefault(column.header[:2], []).append(column)
    order = sorted(by_header, key=lambda key: _order(by_header[key]))
    chosen: set[tuple[str, ...]] = set()
    for key in order:
        needed = max(map(column_width, by_header[key])) + GAP
        important = _order(by_header[key])[0] == 0
        if needed <= (least if important else room):
            chosen.add(key)
            room, least = room - needed, least - needed
    shown = [[c for c in table.columns if c.header[:2] in chosen] for table in tables]
    vital = [[c for c in table.columns if c.importance == 0] for table in tables]
    if all(column.header[:2] in chosen for columns in vital for column in columns):
        return [[columns] for columns in shown]
    return [_cut(columns, least, least) for columns in vital]


def _order(columns: Sequence[Column]) -> tuple[int, int]:
    return min((column.importance, column.rank) for column in columns)


def _fits(columns: Iterable[Column], room: int) -> bool:
    return sum(column_width(column) + GAP for column in columns) <= room


def _cut(columns: Sequence[Column], first_room: int, other_room: int) -> list[list[Column]]:
    """Split columns into as few tables as possible."""
    pieces: list[list[Column]] = [[]]
    for column in columns:
        room = first_room if len(pieces) == 1 else other_room
        if pieces[-1] and not _fits([*pieces[-1], column], room):
            pieces.append([])
        pieces[-1].append(column)
    return pieces


def _add_where_it_fits(
    column: Column, stacked: list[list[Column]], table: ResultTable, width: int, frame: Frame
) -> None:
    for number, columns in enumerate(stacked):
        akin = any(column.group == other.group for other in columns)
        room = width - frame.room(WIDE_LABEL, first=number == 0)
        if akin and _fits([*columns, column], room):
            columns.append(column)
            columns.sort(key=table.columns.index)
            return


def cells(column: Column) -> list[str]:
    """The figures of a column with their marks, aligned at the decimal points."""
    return aligned([text + mark for text, mark in zip(column.texts, _marks(column), strict=True)])


def _marks(column: Column) -> list[str]:
    """What follows each figure: a mark for the best, and for those that may be as good."""
    marked = zip(column.best, column.top, strict=True)
    return [BEST if top else TIED if best else "" for best, top in marked]


def column_width(column: Column) -> int:
    """Width of a column in characters, without the gap."""
    return _width([*column.header, *cells(column)])
