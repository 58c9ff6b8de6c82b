"""The verdict in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from seqbench.report.verdict.of_run import Part
from seqbench.report.verdict.statement import Kind, Statement

#: Of the subject of a statement.
STYLES: Mapping[Kind, str] = {
    "failed": "bold red",
    "certain": "bold green",
    "uncertain": "bold",
    "plain": "bold",
}


def verdict_text(parts: Sequence[Part]) -> Iterator[RenderableType]:
    """One block for each dataset and device."""
    for part in parts:
        title = Text.assemble((part.dataset, "bold"), (f"  {part.about}", "dim"))
        yield Group(title, *_lines(part.statements))


def _lines(statements: tuple[Statement, ...]) -> Iterator[RenderableType]:
    """Topics at the left, sentences beside them."""
    if not statements:
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for each in statements:
        sentence = Text.assemble((each.subject, STYLES[each.kind]), each.rest)
        grid.add_row(Text(each.topic, "bold"), sentence)
    yield grid
