"""Export as HTML, for notebooks: no colors of its own, and nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from seqbench.report import notes
from seqbench.report.caveats import caveats
from seqbench.report.columns.column import Column, Document
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.exports.shared import exact_figure, shown_columns, table_title
from seqbench.report.text import clean

TEXT, FIGURE = "text-align: left", "text-align: right"


def to_html(document: Document, sentences: Sequence[str] = ()) -> str:
    """A table for each dataset, rounded, with the best figures in bold; then failures, warnings and
    notes. How to read the figures is folded away.

    Args:
        sentences: shown above the tables, each a paragraph.
    """
    tables = result_tables(document)
    parts = [_list([sentence]) for sentence in sentences]
    if not document["trials"]:
        parts.append("<p>No trial has finished.</p>")
    for table in tables if document["trials"] else ():
        parts += [*_table(document, table), _list(notes.failures(document, table))]
    parts += [_list(notes.user_notes(document)), _list(caveats(document), "<b>!</b> ")]
    columns = [column for table in tables for column in shown_columns(document, table)[1]]
    explained = [*notes.legend(columns, "bold"), *notes.letters_line(columns)]
    explained += notes.explanations(document, columns)
    if explained and document["trials"]:
        parts.append(f"<details><summary>How to read this</summary>{_list(explained)}</details>")
    parts.append(f"<p>results: {escape(clean(document['run']))}</p>")
    return "<div>\n" + "\n".join(filter(None, parts)) + "\n</div>"


def _table(document: Document, table: ResultTable) -> Iterator[str]:
    texts, columns = shown_columns(document, table)
    yield f"<p><b>{escape(table_title(table))}</b></p>"
    yield '<div style="overflow-x: auto"><table>'
    heads = [_cell("th", escape(name), TEXT) for name, _ in texts]
    heads += [_cell("th", _head(column), FIGURE) for column in columns]
    yield f"<thead>{_row(heads)}</thead><tbody>"
    for number in range(len(table.cases)):
        cells = [_cell("td", escape(cells[number]), TEXT) for _, cells in texts]
        figures = (
            exact_figure(column, number, "<b>{}</b>", " {}", escape=escape) for column in columns
        )
        yield _row([*cells, *(_cell("td", figure, FIGURE) for figure in figures)])
    yield "</tbody></table></div>"


def _head(column: Column) -> str:
    """The quantity, the setting it was measured at, and the unit, one below the other."""
    return "<br>".join(escape(line) for line in column.header if line)


def _cell(tag: str, content: str, style: str) -> str:
    return f'<{tag} style="{style}">{content}</{tag}>'


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _list(lines: Sequence[str], mark: str = "") -> str:
    """Lines of text, one below the other; "" if there are none."""
    items = "\n".join(mark + escape(line) for line in lines).replace("\n", "<br>\n")
    return f"<p>{items}</p>" if lines else ""
