"""A view of a run in the terminal."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.text import Text

from seqbench.report import numbers
from seqbench.report.terminal.style import GAP, empty_table
from seqbench.report.views.sheet import Sheet, View

#: Characters that a column of text needs at least: it is wrapped.
LEAST_TEXT = 6


def print_view(view: View, console: Console) -> None:
    """Print every table of a view, then its notes."""
    for sheet in view.sheets:
        console.print(sheet_text(sheet, console.width))
        console.print()
    for note in view.notes:
        console.print(Text(note, "dim" if view.sheets else ""))


def sheet_text(sheet: Sheet, width: int) -> RenderableType:
    """A table with its title and notes; figures are aligned at their decimal points.

    Figures are never cut: columns that the sheet can do without are left out where there is too
    little room, and this is reported.
    """
    columns = [
        [header, *(numbers.aligned(texts) if side == "r" and sheet.decimal else texts)]
        for header, side, *texts in zip(sheet.headers, sheet.sides, *sheet.texts, strict=True)
    ]
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
    table = empty_table()
    for number in kept:
        figures = sheet.sides[number] == "r"
        table.add_column(
            Text(sheet.headers[number], "bold"),
            justify="right" if figures else "left",
            overflow="fold",
            no_wrap=figures,
            min_width=least[number],
        )
    for row, cells in enumerate(zip(*(columns[number][1:] for number in kept), strict=True)):
        table.add_row(*(Text(cell, "dim" if row in sheet.weak else "") for cell in cells))
    notes = [*sheet.notes, f"not shown at {width} columns: {', '.join(left_out)}"]
    return Group(Text(sheet.heading, "bold"), Text(), table,
                 *map(Text, notes if left_out else sheet.notes))  # fmt: skip
