"""Latency at many settings: one row per setting, which keeps the table narrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from seqbench.records import AS_DATA
from seqbench.report.columns.column import Column
from seqbench.report.columns.speed import FEW, own_lengths
from seqbench.report.columns.table import ResultTable
from seqbench.report.numbers import MISSING
from seqbench.report.terminal.layout import BEST, TIED
from seqbench.report.terminal.style import GAP, empty_table
from seqbench.report.text import clean, length_words

#: The settings that identify a row, in the order of the columns, with their headers.
SETTINGS = {"runtime": "runtime", "threads": "threads", "batch_size": "batch", "length": "length"}

#: Shown instead of the length in rows with the exponent of latency.
EXPONENT = "exponent"

NARROW_LABEL = 16


def settings_table(
    table: ResultTable, labels: Sequence[str], devices: Sequence[str], width: int
) -> Iterator[RenderableType]:
    """Latency at each setting; nothing if the settings are few enough to have a column each.

    Args:
        labels: the labels of the cases.
        devices: the devices of the cases; empty if all are the same.
        width: as many cases as fit are side by side; the others follow below.
    """
    rows = rows_of(table)
    if not rows:
        return
    lead = _lead(rows, own_lengths(table.cases))
    room = width - sum(_width(text) + GAP for text in lead)
    heads = ["\n".join(text) for text in zip(labels, devices, strict=True)] if devices else labels
    pieces = list(_pieces([_case_width(rows, n, head) for n, head in enumerate(heads)], room))
    for number, piece in enumerate(pieces):
        built = _table(rows, lead, piece, heads)
        title = Text("latency at each setting", "bold")
        yield Group(title, Text(), built) if number == 0 else built


def rows_of(table: ResultTable) -> list[Column]:
    """The columns that are rows here, sorted; empty if each has a column of its own."""
    rows = [column for column in table.columns if column.at is not None]
    many = sum(column.compared is not None for column in rows) > FEW
    return _in_order(rows) if many else []


def _in_order(rows: Sequence[Column]) -> list[Column]:
    """Sort by runtime and threads in the order of the suite, then by batch and length."""
    known: dict[str, list[Any]] = {"runtime": [], "threads": []}
    for row in rows:
        for name, values in known.items():
            if _at(row)[name] not in values:
                values.append(_at(row)[name])

    def place(row: Column) -> tuple[float, ...]:
        at = _at(row)
        last = {AS_DATA: (1, 0), None: (2, 0)}
        order = [known[name].index(at[name]) for name in known]
        return (*order, at["batch_size"], *last.get(at["length"], (0, at["length"])))

    return sorted(rows, key=place)


def _at(row: Column) -> dict[str, Any]:
    assert row.at is not None  # rows have settings
    return dict(row.at)


def _lead(rows: Sequence[Column], own: set[Any]) -> list[list[str]]:
    """The leading columns, headers first: the settings that vary, and the unit.

    Args:
        own: the datasets' own lengths; any other is shown even if it does not vary.
    """
    found = []
    for name, header in SETTINGS.items():
        values = [_at(row)[name] for row in rows]
        if len(set(values)) > 1 or (name == "length" and not own >= set(values)):
            found.append([header, *(_words(value) for value in values)])
    return [*found, ["", *(row.header[2] for row in rows)]]


def _words(value: Any) -> str:
    if value == AS_DATA:
        return length_words(value)
    return EXPONENT if value is None else clean(value)


def _width(texts: Sequence[str]) -> int:
    return max(cell_len(text) for text in texts)


def _mark(row: Column, case: int) -> str:
    return BEST if row.top[case] else TIED if row.best[case] else ""


def _parts(rows: Sequence[Column], case: int) -> tuple[list[str], list[str]]:
    """The figures of a case, and their marks."""
    return [row.texts[case] for row in rows], [_mark(row, case) for row in rows]


def _case_width(rows: Sequence[Column], case: int, head: str) -> int:
    figures, marks = _parts(rows, case)
    longest = max(cell_len(line) for line in head.split("\n"))
    return max(min(longest, NARROW_LABEL), _width(figures) + _width(marks))


def _pieces(widths: Sequence[int], room: int) -> Iterator[dict[int, int]]:
    """The cases that fit side by side, with their widths; at least one at a time."""
    piece: dict[int, int] = {}
    for case, width in enumerate(widths):
        if piece and sum(piece.values()) + GAP * len(piece) + width > room:
            yield piece
            piece = {}
        piece[case] = width
    yield piece


def _table(
    rows: Sequence[Column],
    lead: Sequence[Sequence[str]],
    piece: dict[int, int],
    heads: Sequence[str],
) -> Table:
    result = empty_table()
    for text in lead:
        justify = "right" if text[0] in ("threads", "batch", "length") else "left"
        result.add_column(
            Text(text[0], "bold"), justify=justify, no_wrap=True, vertical="bottom"  # type: ignore[arg-type]
        )  # fmt: skip
    for case, width in piece.items():
        header = Text(heads[case], "bold", justify="right")
        result.add_column(header, width=width, overflow="fold")
    texts = {case: list(_cells(rows, case, width)) for case, width in piece.items()}
    for number in range(len(rows)):
        settings = [Text(text[number + 1]) for text in lead]
        result.add_row(*settings, *(texts[case][number] for case in piece))
    return result


def _cells(rows: Sequence[Column], case: int, width: int) -> Iterator[Text]:
    """The cells of a case, padded by hand so that marks are aligned."""
    figures, marks = _parts(rows, case)
    after = _width(marks)
    for row, figure, mark in zip(rows, figures, marks, strict=True):
        style = "bold" if row.top[case] else ""
        text = f"{figure}{mark:<{after}}".rjust(width)
        yield Text(text, "dim" if figure == MISSING else style)
