"""Export as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from seqbench.report import notes
from seqbench.report.caveats import caveats
from seqbench.report.columns.column import Column, Document
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.exports.shared import exact_figure, export_notes, shown_columns, table_title
from seqbench.report.text import clean


def to_latex(document: Document) -> str:
    r"""A booktabs ``tabular`` for each dataset (needs ``\usepackage{booktabs}``)."""
    tables = result_tables(document)
    lines = [r"% \usepackage{booktabs}"]
    for table in tables:
        lines += _latex_table(document, table)
    below = [*notes.user_notes(document), *caveats(document)]
    below += [*export_notes(document, tables), f"results: {clean(document['run'])}"]
    return "\n".join([*lines, *(f"% {line}" for line in below)]) + "\n"


def _latex_table(document: Document, table: ResultTable) -> Iterator[str]:
    texts, columns = shown_columns(document, table)
    yield from (r"\begin{table}", r"\centering", rf"\caption{{{latex(table_title(table))}}}")
    yield rf"\begin{{tabular}}{{{'l' * len(texts)}{'r' * len(columns)}}}"
    yield r"\toprule"
    for level in range(3):
        heads = [name if level == 0 else "" for name, _ in texts]
        yield latex_row(heads + [latex(column.header[level]) for column in columns])
    yield r"\midrule"
    for number in range(len(table.cases)):
        row = [latex(cells[number]) for _, cells in texts]
        yield latex_row(row + [_latex_figure(column, number) for column in columns])
    yield from (r"\bottomrule", r"\end{tabular}")
    for line in notes.failures(document, table):
        yield rf"\par\small {latex(line)}"
    yield r"\end{table}"


def latex_row(cells: Iterable[str]) -> str:
    """A row of escaped cells."""
    return " & ".join(cells) + r" \\"


def _latex_figure(column: Column, number: int) -> str:
    return exact_figure(column, number, r"\textbf{{{}}}", r"\textsuperscript{{{}}}", latex)


def latex(text: str) -> str:
    """Escape everything that is special in LaTeX."""
    escaped = "".join(LATEX.get(character, character) for character in text)
    return re.sub(r"^-(?=[\d.])", "$-$", escaped)


LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    # At the start of a row, these would belong to the line break before it.
    **{character: f"{{{character}}}" for character in "[]*"},
    "`": r"\textasciigrave{}",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "µ": r"\textmu{}",
    "—": "---",
    "–": "--",
    "…": r"\ldots{}",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "∞": r"$\infty$",
}
