"""The style of all tables."""

from __future__ import annotations

from rich import box
from rich.table import Table

#: Of the word or mark before a warning. Yellow text would not be readable on white.
WARNING = "black on yellow"

#: Blanks between two columns.
GAP = 2


def empty_table() -> Table:
    """A table with a line below the headers and no frame."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
