"""Export as HTML, for notebooks: no colors of its own, and nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import repeat

from seqbench.report import notes
from seqbench.report.caveats import caveats
from seqbench.report.columns.column import Column, Document
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.exports.shared import exact_figure, shown_columns, table_title
from seqbench.report.parts import part_lines
from seqbench.report.text import clean

TEXT, FIGURE = "text-align: left", "text-align: right"


def to_html(document: Document, sentences: Sequence[str] = ()) -> str:
    """A table for each dataset, rounded, with the best figures in bold; then failures, warnings and
    notes. How to read the figures is folded away.

    Args:
        sentences: shown above the tables, each a paragraph.
    """
    tables = result_tables(document)
    parts = [html_list([sentence]) for sentence in sentences]
    if not document["trials"]:
        parts.append("<p>No trial has finished.</p>")
    for table in tables if document["trials"] else ():
        parts += [*_table(document, table), html_list(notes.failures(document, table))]
    parts += [html_list(notes.user_notes(document)), html_list(caveats(document), "<b>!</b> ")]
    parts.append(html_list(part_lines(document, tables)))
    columns = [column for table in tables for column in shown_columns(document, table)[1]]
    explained = [*notes.legend(columns, "bold"), *notes.letters_line(columns)]
    explained += notes.explanations(document, columns)
    if explained and document["trials"]:
        parts.append(
            f"<details><summary>How to read this</summary>{html_list(explained)}</details>"
        )
    parts.append(f"<p>results: {escape(clean(document['run']))}</p>")
    return "<div>\n" + "\n".join(filter(None, parts)) + "\n</div>"


def _table(document: Document, table: ResultTable) -> Iterator[str]:
    texts, columns = shown_columns(document, table)
    heads = [escape(name) for name, _ in texts] + [_head(column) for column in columns]
    rows = [
        [escape(cells[number]) for _, cells in texts]
        + [exact_figure(each, number, "<b>{}</b>", " {}", escape=escape) for each in columns]
        for number in range(len(table.cases))
    ]
    styles = [TEXT] * len(texts) + [FIGURE] * len(columns)
    yield from html_table(escape(table_title(table)), heads, rows, styles)


def _head(column: Column) -> str:
    """The quantity, the setting it was measured at, and the unit, one below the other."""
    return "<br>".join(escape(line) for line in column.header if line)


def html_table(
    title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str]
) -> Iterator[str]:
    """A table of escaped text, with the style of each column."""
    yield f"<p><b>{title}</b></p>"
    yield '<div style="overflow-x: auto"><table>'
    yield f"<thead>{_row(map(_cell, repeat('th'), heads, styles))}</thead><tbody>"
    for row in rows:
        yield _row(map(_cell, repeat("td"), row, styles))
    yield "</tbody></table></div>"


def _cell(tag: str, content: str, style: str) -> str:
    return f'<{tag} style="{style}">{content}</{tag}>'


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def html_list(lines: Sequence[str], mark: str = "") -> str:
    """Lines of text, one below the other; "" if there are none."""
    items = "\n".join(mark + escape(line) for line in lines).replace("\n", "<br>\n")
    return f"<p>{items}</p>" if lines else ""
