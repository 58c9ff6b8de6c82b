"""Confusion matrices: ``seqbench show RUN --confusion MODEL``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from seqbench.report.columns.column import Document
from seqbench.report.terminal.style import GAP, empty_table
from seqbench.report.views.confusion import (
    CELLS,
    HEADER_WIDTH,
    MOST_CLASSES,
    Confusion,
    confusions,
    frequent_texts,
    headers,
    percent,
)

CLASS_WIDTH = 12


def print_confusion(document: Document, name: str, console: Console) -> None:
    """Print the confusion matrix of every case whose model's name or label is ``name``.

    Raises:
        UsageError: there is no such case, or none of them has a confusion matrix.
    """
    for confusion in confusions(document, name):
        for part in _parts(confusion, console.width):
            console.print(part)
        console.print()


def _parts(confusion: Confusion, width: int) -> Iterator[RenderableType]:
    title = Text(confusion.title, "bold")
    yield title.append(f"  {confusion.basis}", "not bold dim")
    names = headers(confusion.classes)
    numbered = [str(number) for number in range(len(names))]  # narrower
    fitting = [heads for heads in (names, numbered) if _width(confusion, heads) <= width]
    if len(names) <= MOST_CLASSES and fitting:
        yield _square(confusion, fitting[0])
        yield Text(CELLS, "dim")
    else:
        yield _recalls(confusion)
        yield Text("\nmost frequent errors", "bold")
        yield _frequent(confusion)


def _width(confusion: Confusion, heads: Sequence[str]) -> int:
    """The width of the square: a figure that is cut would be another figure."""
    columns = [
        max(len(head), *(len(_cell(confusion, true, number)) for true in range(len(heads))))
        for number, head in enumerate(heads)
    ]
    recall = max(len("recall"), *(len(percent(each)) for each in confusion.recall))
    return CLASS_WIDTH + sum(width + GAP for width in (*columns, recall))


def _cell(confusion: Confusion, true: int, predicted: int) -> str:
    return percent(confusion.share(true, predicted), short=True)


def _square(confusion: Confusion, heads: Sequence[str]) -> Table:
    table = empty_table()
    numbered = heads[0] != confusion.classes[0][:HEADER_WIDTH].strip()
    table.add_column(
        Text("class", "bold"), max_width=CLASS_WIDTH, no_wrap=True, overflow="ellipsis"
    )
    for head in (*heads, "recall"):
        table.add_column(Text(head, "bold"), justify="right", no_wrap=True)
    for true, name in enumerate(confusion.classes):
        row = [Text(f"{heads[true]} {name}" if numbered else name)]
        for predicted in range(len(heads)):
            text = _cell(confusion, true, predicted)
            style = "bold" if true == predicted else "dim" if text == "0" else ""
            row.append(Text(text, style))
        table.add_row(*row, Text(percent(confusion.recall[true])))
    return table


def _recalls(confusion: Confusion) -> Table:
    table = empty_table()
    table.add_column(Text("class", "bold"), overflow="fold")
    table.add_column(Text("recall %", "bold"), justify="right", no_wrap=True)
    for name, recall in zip(confusion.classes, confusion.recall, strict=True):
        table.add_row(Text(name), Text(percent(recall)))
    return table


def _frequent(confusion: Confusion) -> Table:
    table = empty_table()
    for header in ("true", "predicted"):
        table.add_column(Text(header, "bold"), overflow="fold")
    for header in ("% of true", "count"):
        table.add_column(Text(header, "bold"), justify="right", no_wrap=True)
    for cells in frequent_texts(confusion):
        table.add_row(*(Text(cell) for cell in cells))
    return table
