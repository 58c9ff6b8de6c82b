"""Exports of a view of a run, such as its pairs, in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from seqbench.report.exports.csv import defused
from seqbench.report.exports.latex import latex, latex_row
from seqbench.report.exports.markdown import markdown, markdown_list, markdown_row
from seqbench.report.text import clean
from seqbench.report.views.sheet import View


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


def view_to_latex(view: View) -> str:
    r"""A booktabs ``tabular`` for each sheet, with its notes."""
    lines = [r"% \usepackage{booktabs}"]
    for sheet in view.sheets:
        lines += [r"\begin{table}", r"\centering", rf"\caption{{{latex(sheet.heading)}}}"]
        lines += [rf"\begin{{tabular}}{{{sheet.sides}}}", r"\toprule"]
        lines += [latex_row(map(latex, sheet.headers)), r"\midrule"]
        lines += [latex_row(map(latex, row)) for row in sheet.texts]
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\small {latex(note)}" for note in sheet.notes]
        lines.append(r"\end{table}")
    below = [*view.notes, f"results: {clean(view.run)}"]
    return "\n".join([*lines, *(f"% {line}" for line in below)]) + "\n"


#: How a view is written, by the name in ``seqbench show --format``.
RENDERERS: Mapping[str, Callable[[View], str]] = {
    "json": view_to_json,
    "markdown": view_to_markdown,
    "csv": view_to_csv,
    "latex": view_to_latex,
}
