"""A view of a run in the terminal."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.text import Text

from seqbench.report import numbers
from seqbench.report.terminal.style import empty_table
from seqbench.report.views.sheet import Sheet, View


def print_view(view: View, console: Console) -> None:
    """Print every table of a view, then its notes."""
    for sheet in view.sheets:
        console.print(sheet_text(sheet))
        console.print()
    for note in view.notes:
        console.print(Text(note, "dim" if view.sheets else ""))


def sheet_text(sheet: Sheet) -> RenderableType:
    """A table with its title and notes; figures are aligned at their decimal points."""
    table = empty_table()
    columns = [list(column) for column in zip(*sheet.texts, strict=True)]
    for number, (header, side) in enumerate(zip(sheet.headers, sheet.sides, strict=True)):
        figures = side == "r"
        table.add_column(
            Text(header, "bold"),
            justify="right" if figures else "left",
            overflow="fold",
            no_wrap=figures,
            min_width=max(map(cell_len, (header, *columns[number]))) if figures else 4,
        )
        if side == "r" and sheet.decimal:
            columns[number] = numbers.aligned(columns[number])
    for number, cells in enumerate(zip(*columns, strict=True)):
        table.add_row(*(Text(cell, "dim" if number in sheet.weak else "") for cell in cells))
    return Group(Text(sheet.heading, "bold"), Text(), table, *map(Text, sheet.notes))
