"""A view of a run in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from seqbench.report import numbers
from seqbench.report.terminal.style import GAP, empty_table
from seqbench.report.views.sheet import Sheet, View

#: Characters that a column of text needs at least: it is wrapped.
LEAST_TEXT = 6

#: Longer headers are wrapped in tables that are divided.
WIDEST_HEADER = 16


def print_view(view: View, console: Console) -> None:
    """Print every table of a view, then its notes."""
    for sheet in view.sheets:
        console.print(sheet_text(sheet, console.width))
        console.print()
    for note in view.notes:
        console.print(Text(note, "dim" if view.sheets else ""))


def sheet_text(sheet: Sheet, width: int) -> RenderableType:
    """A table with its title and notes; figures are aligned at their decimal points.

    Figures are never cut. Where there is too little room, columns follow in further tables, or, if
    the sheet can do without them, are left out, and this is reported.
    """
    columns = [
        [header, *(numbers.aligned(texts) if side == "r" and sheet.decimal else texts)]
        for header, side, *texts in zip(sheet.headers, sheet.sides, *sheet.texts, strict=True)
    ]
    if sheet.lead:
        tables = [each for table in _divided(sheet, columns, width) for each in (Text(), table)]
        return Group(Text(sheet.heading, "bold"), *tables, *map(Text, sheet.notes))
    least = [
        max(map(cell_len, texts)) if side == "r" else LEAST_TEXT
        for texts, side in zip(columns, sheet.sides, strict=True)
    ]
    kept = list(range(len(columns)))
    left_out = []
    for header in sheet.optional:
        too_wide = sum(least[number] for number in kept) + GAP * (len(kept) - 1) > width
        if too_wide and header in sheet.headers:
            kept.remove(sheet.headers.index(header))
            left_out.append(header)
    table = _table(sheet, columns, {number: least[number] for number in kept})
    notes = [*sheet.notes, f"not shown at {width} columns: {', '.join(left_out)}"]
    return Group(Text(sheet.heading, "bold"), Text(), table,
                 *map(Text, notes if left_out else sheet.notes))  # fmt: skip


def _table(sheet: Sheet, columns: Sequence[Sequence[str]], least: Mapping[int, int]) -> Table:
    """The columns with these numbers, each with the width that it needs at least."""
    table = empty_table()
    for number, width in least.items():
        figures = sheet.sides[number] == "r"
        table.add_column(
            Text(sheet.headers[number], "bold"),
            justify="right" if figures else "left",
            overflow="fold",
            no_wrap=figures,
            min_width=width,
        )
    for row, cells in enumerate(zip(*(columns[number][1:] for number in least), strict=True)):
        table.add_row(*(Text(cell, "dim" if row in sheet.weak else "") for cell in cells))
    return table


def _divided(sheet: Sheet, columns: Sequence[Sequence[str]], width: int) -> Iterator[Table]:
    """As many tables below each other as are needed; each has the leading columns. Long headers are
    wrapped.
    """
    widths = [
        max(max(map(cell_len, texts)), min(cell_len(header), WIDEST_HEADER))
        for header, *texts in columns
    ]
    lead = range(sheet.lead)
    for number in lead:
        widths[number] = min(widths[number], max(WIDEST_HEADER, width // 3))
    room = width - sum(widths[number] + GAP for number in lead)
    piece: list[int] = []
    for number in range(sheet.lead, len(columns)):
        if piece and sum(widths[n] + GAP for n in (*piece, number)) - GAP > room:
            yield _piece(columns, [*lead, *piece], widths, sheet.lead)
            piece = []
        piece.append(number)
    yield _piece(columns, [*lead, *piece], widths, sheet.lead)


def _piece(
    columns: Sequence[Sequence[str]], numbered: Sequence[int], widths: Sequence[int], lead: int
) -> Table:
    table = empty_table()
    for number in numbered:
        justify: JustifyMethod = "left" if number < lead else "right"
        header = Text(columns[number][0], "bold", justify=justify)
        table.add_column(header, justify=justify, overflow="fold", width=widths[number])
    for cells in zip(*(columns[number][1:] for number in numbered), strict=True):
        table.add_row(*map(Text, cells))
    return table
