"""Export as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from seqbench.report import notes
from seqbench.report.caveats import caveats
from seqbench.report.columns.column import Document
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.exports.shared import (
    exact_figure,
    export_notes,
    shown_columns,
    table_head,
    table_title,
)
from seqbench.report.text import clean
from seqbench.report.verdict.of_run import verdict_of


def to_markdown(document: Document) -> str:
    """The verdict; a table for each dataset, rounded, with the best figures in bold; then failures
    and notes.
    """
    tables = result_tables(document)
    lines = _verdict(document)
    for table in tables:
        lines += [f"### {markdown(table_title(table))}", "", *_markdown_table(document, table), ""]
        failed = notes.failures(document, table)
        lines += [*markdown_list(failed), ""] if failed else []
    noted = notes.user_notes(document)
    lines += [*(markdown(line) for line in noted), ""] if noted else []
    below = [*caveats(document), *export_notes(document, tables)]
    below.append(f"results: {clean(document['run'])}")
    return "\n".join([*lines, *markdown_list(below)]) + "\n"


def _verdict(document: Document) -> list[str]:
    """A list of statements for each dataset and device."""
    lines = []
    for part in verdict_of(document):
        lines += [f"**{markdown(part.dataset)}** {markdown(part.about)}", ""]
        lines += [
            f"- {markdown(each.topic)}: **{markdown(each.subject)}**{markdown(each.rest)}"
            for each in part.statements
        ]
        lines.append("")
    return lines


def _markdown_table(document: Document, table: ResultTable) -> Iterator[str]:
    texts, columns = shown_columns(document, table)
    heads = [name for name, _ in texts] + [table_head(column, markdown) for column in columns]
    yield markdown_row(heads)
    yield markdown_row(["---"] * len(texts) + ["---:"] * len(columns))
    for number in range(len(table.cases)):
        row = [markdown(cells[number]) for _, cells in texts]
        yield markdown_row(
            row + [exact_figure(column, number, "**{}**", " {}") for column in columns]
        )


def markdown_row(cells: Iterable[str]) -> str:
    """A row of escaped cells."""
    return f"| {' | '.join(cells)} |"


def markdown_list(lines: Iterable[str]) -> list[str]:
    """Lines, to be escaped, as items of a list."""
    return [f"- {markdown(line)}" for line in lines]


def markdown(text: str) -> str:
    """Escape everything that is special in Markdown, or in HTML inside it."""
    escaped = re.sub(r"([\\`*_\[\]<>|~&#!$])", r"\\\1", text)
    # These would start a list, a heading or a rule at the beginning of a line.
    escaped = re.sub(r"^([-+=])", r"\\\1", escaped)
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", escaped)
