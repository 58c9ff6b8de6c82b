"""The look that all tables of figures share."""

from __future__ import annotations

from rich import box
from rich.table import Table

#: Blanks between two columns.
GAP = 2


def empty_table() -> Table:
    """A line below the headers, none around."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
