"""What the exports share: columns, notes, cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from seqbench.report import notes
from seqbench.report.columns.column import Column, Document
from seqbench.report.columns.speed import FEW, latency_settings
from seqbench.report.columns.table import ResultTable
from seqbench.report.names import several_devices, status_lines
from seqbench.report.parts import part_lines
from seqbench.report.text import clean, label

Escape = Callable[[str], str]


def shown_columns(
    document: Document, table: ResultTable
) -> tuple[list[tuple[str, Sequence[str]]], list[Column]]:
    """Text columns (header and cells), and the columns that are always shown."""
    texts: list[tuple[str, Sequence[str]]] = [("case", [label(case) for case in table.cases])]
    if several_devices(document):
        texts.append(("device", [clean(case["device"]) for case in table.cases]))
    statuses = ["; ".join(status_lines(case)) for case in table.cases]
    if any(status != "ok" for status in statuses):
        texts.append(("status", statuses))
    return texts, [column for column in table.columns if column.rank == 0]


def export_notes(document: Document, tables: Iterable[ResultTable]) -> list[str]:
    """The explanations of the columns shown, and where to find other settings."""
    tables = list(tables)
    columns = [column for table in tables for column in shown_columns(document, table)[1]]
    lines = [*notes.legend(columns, "bold"), *notes.letters_line(columns)]
    lines += part_lines(document, tables)
    return [*lines, *notes.explanations(document, columns), *not_shown(document, tables)]


def not_shown(document: Document, tables: Sequence[ResultTable]) -> list[str]:
    """What is measured but has no column here, and how to see it."""
    columns = [column for table in tables for column in shown_columns(document, table)[1]]
    every = dict.fromkeys(_words(column) for table in tables for column in table.columns)
    rest = [words for words in every if words not in {_words(column) for column in columns}]
    lines = [f"not shown: {', '.join(rest)}; all columns: --format csv or json"] if rest else []
    settings = [len(latency_settings(table.cases)) for table in tables]
    if max(settings, default=0) > FEW:
        lines.append(f"latency was measured at {max(settings)} settings; all of them: --format csv")
    if any(case["memory"] for table in tables for case in table.cases):
        lines.append("breakdown of memory: `seqbench show --memory`")
    return lines


def _words(column: Column) -> str:
    """The quantity of a column; without the setting, of which there may be hundreds."""
    return (
        column.header[0]
        if column.at or column.group == "speed"
        else " ".join(filter(None, column.header[:2]))
    )


def table_title(table: ResultTable) -> str:
    return table.dataset + (f" ({table.about})" if table.about else "")


def table_head(column: Column, escape: Escape) -> str:
    return escape(", ".join(line for line in column.header if line))


def exact_figure(column: Column, number: int, bold: str, letters: str, escape: Escape = str) -> str:
    """One cell: bold if it is the best, followed by its letters."""
    text = escape(column.texts[number])
    text = bold.format(text) if column.top[number] else text
    letters_of = column.letters[number] if column.letters else ""
    return text + (letters.format(letters_of) if letters_of else "")
