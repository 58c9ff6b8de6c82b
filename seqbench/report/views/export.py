"""Exports of a view of a run, such as its pairs, in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from seqbench.report.exports.csv import defused
from seqbench.report.exports.html import FIGURE, TEXT, html_list, html_table
from seqbench.report.exports.latex_table import (
    USAGE,
    Labels,
    LatexTable,
    latex_comments,
    latex_figures,
    latex_notes,
    latex_row,
    latex_table,
)
from seqbench.report.exports.latex_text import latex, latex_figure
from seqbench.report.exports.markdown import markdown, markdown_list, markdown_row
from seqbench.report.text import clean
from seqbench.report.views.sheet import Sheet, View

#: In LaTeX, headers of wider tables are turned, and cut.
MOST_CHARACTERS, LONGEST_HEADER = 110, 40


def view_to_json(view: View) -> str:
    """The records of every table, with its notes."""
    tables = [{"title": s.title, "records": s.records, "notes": s.notes} for s in view.sheets]
    found = {"view": view.name, "run": view.run, "tables": tables, "notes": view.notes}
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def view_to_csv(view: View) -> str:
    """The records of all tables below each other; the column ``table`` has the title."""
    rows = [{"table": sheet.title, **record} for sheet in view.sheets for record in sheet.records]
    names = list(dict.fromkeys(["table", *(name for row in rows for name in row)]))
    file = io.StringIO()
    writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _csv_cell(value) for name, value in row.items()})
    return file.getvalue()


def _csv_cell(value: Any) -> Any:
    return defused(clean(value)) if isinstance(value, str) else "" if value is None else value


def view_to_markdown(view: View) -> str:
    """A table for each sheet, rounded, with its notes."""
    lines: list[str] = []
    for sheet in view.sheets:
        lines += [f"### {markdown(sheet.heading)}", ""]
        lines.append(markdown_row(map(markdown, sheet.headers)))
        lines.append(markdown_row("---:" if side == "r" else "---" for side in sheet.sides))
        for row in sheet.texts:
            cells = zip(row, sheet.sides, strict=True)
            lines.append(markdown_row(markdown(c) if side == "l" else c for c, side in cells))
        lines += ["", *markdown_list(sheet.notes), ""] if sheet.notes else [""]
    below = [*view.notes, f"results: {clean(view.run)}"]
    return "\n".join([*lines, *markdown_list(below)]) + "\n"


def view_to_html(view: View) -> str:
    """A fragment of a page: a table for each sheet, rounded, with its notes.

    It is plain ASCII, so that it is shown correctly whatever encoding is assumed.
    """
    parts: list[str] = []
    for sheet in view.sheets:
        styles = [TEXT if side == "l" else FIGURE for side in sheet.sides]
        rows = [[escape(cell) for cell in row] for row in sheet.texts]
        heads = [escape(header) for header in sheet.headers]
        parts += html_table(escape(sheet.heading), heads, rows, styles)
        parts.append(html_list(sheet.notes))
    parts += [html_list(view.notes), html_list([f"results: {clean(view.run)}"])]
    text = "<div>\n" + "\n".join(filter(None, parts)) + "\n</div>\n"
    return text.encode("ascii", "xmlcharrefreplace").decode()


def view_to_latex(view: View) -> str:
    """A table for each sheet, rounded, with its notes; those of the view follow the last."""
    lines, labels = latex_comments(USAGE), Labels()
    for sheet in view.sheets:
        last = sheet is view.sheets[-1]
        lines += latex_table(_latex_sheet(sheet, labels, view.notes if last else ()))
    if not view.sheets:
        lines += ["{", *latex_notes(view.notes), r"\par}"]
    return "\n".join([*lines, *latex_comments([f"results: {clean(view.run)}"])]) + "\n"


def _latex_sheet(sheet: Sheet, labels: Labels, more: Sequence[str]) -> LatexTable:
    columns = [
        list(map(latex, texts))
        if side == "l"
        else latex_figures(texts)
        if sheet.decimal
        else list(map(latex_figure, texts))
        for side, *texts in zip(sheet.sides, *sheet.texts, strict=True)
    ]
    return LatexTable(
        caption=sheet.heading,
        label=labels.new(sheet.title),
        sides=sheet.sides,
        heads=(latex_row(_latex_heads(sheet)),),
        rows=tuple(zip(*columns, strict=True)),
        notes=(*sheet.notes, *more),
    )


def _latex_heads(sheet: Sheet) -> list[str]:
    """The header of a sheet; in a very wide one, such as a matrix of classes, it is turned."""
    columns = zip(sheet.headers, *sheet.texts, strict=True)
    turned = sum(max(map(len, texts)) for texts in columns) > MOST_CHARACTERS
    return [
        rf"\rotatebox{{90}}{{{latex(clean(header, LONGEST_HEADER))}}}"
        if turned and side == "r"
        else latex(header)
        for header, side in zip(sheet.headers, sheet.sides, strict=True)
    ]


#: How a view is written, by the name in ``seqbench show --format``.
RENDERERS: Mapping[str, Callable[[View], str]] = {
    "json": view_to_json,
    "markdown": view_to_markdown,
    "csv": view_to_csv,
    "latex": view_to_latex,
    "html": view_to_html,
}
