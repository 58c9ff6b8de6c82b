"""Export as LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from seqbench.report import notes, numbers
from seqbench.report.caveats import caveats
from seqbench.report.columns.column import Column, Document
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.exports.latex_table import (
    USAGE,
    Labels,
    LatexTable,
    latex_comments,
    latex_figures,
    latex_row,
    latex_table,
)
from seqbench.report.exports.latex_text import latex
from seqbench.report.exports.shared import not_shown, shown_columns, table_title
from seqbench.report.parts import part_lines
from seqbench.report.text import clean


def to_latex(document: Document, intervals: bool = False) -> str:
    r"""A table for each dataset, rounded, with the best figures in bold, failures and how to read
    it; warnings and settings as comments.

    Args:
        intervals: show the 95 % interval of every figure that has one: ``370 [369–372]``. Without,
            only metrics have theirs, as ``88.3 ± 1.0``.
    """
    tables = [_with_intervals(table) if intervals else table for table in result_tables(document)]
    above = [*USAGE, *notes.user_notes(document), *(f"! {line}" for line in caveats(document))]
    labels = Labels()
    floats = [
        line for table in tables for line in latex_table(_result_table(document, table, labels))
    ]
    below = [*notes.conditions(document), *not_shown(document, tables)]
    below.append(f"results: {clean(document['run'])}")
    return "\n".join([*latex_comments(above), *floats, *latex_comments(below)]) + "\n"


def _with_intervals(table: ResultTable) -> ResultTable:
    """The table without the columns that only repeat intervals."""
    return replace(table, columns=tuple(_with_interval(c) for c in table.columns if c.field))


def _with_interval(column: Column) -> Column:
    """The column with its intervals beside the figures, unless they are there already."""
    if column.unit is None or not column.interval:
        return column
    texts = []
    for estimate, text in zip(column.estimates, column.texts, strict=True):
        ends = numbers.bounds(estimate, column.unit)  # thousands have commas: no comma between
        known = ends != numbers.MISSING
        texts.append(f"{text.rstrip(numbers.DOUBTFUL)} [{ends}]" if known else text)
    name, at, unit = column.header
    return replace(column, texts=tuple(texts), header=(name, at, f"{unit} [95 % CI]".strip()))


def _result_table(document: Document, table: ResultTable, labels: Labels) -> LatexTable:
    texts, columns = shown_columns(document, table)
    cells = [*(map(latex, some) for _, some in texts), *map(_figures, columns)]
    reading = [*notes.legend(columns, "bold"), *notes.letters_line(columns)]
    reading += part_lines(document, [table])
    return LatexTable(
        caption=table_title(table),
        label=labels.new(document["suite"], table.dataset),
        sides="l" * len(texts) + "r" * len(columns),
        heads=tuple(_heads([name for name, _ in texts], columns)),
        rows=tuple(zip(*cells, strict=True)),
        notes=(*notes.failures(document, table), *reading, *notes.methods(document, columns)),
    )


def _figures(column: Column) -> list[str]:
    """The figures of a column: bold if the best, followed by their letters."""
    letters = column.letters or ("",) * len(column.texts)
    longest = max(letters, key=len)

    def marked(row: int, figure: str) -> str:
        own, missing = letters[row], longest[len(letters[row]) :]
        blank = rf"\phantom{{{missing}}}" if missing else ""
        above = rf"\textsuperscript{{{own}{blank}}}" if longest else ""
        return (rf"\textbf{{{figure}}}" if column.top[row] else figure) + above

    return latex_figures(column.texts, marked)


def _heads(texts: Sequence[str], columns: Sequence[Column]) -> Iterator[str]:
    """The rows of the header. Neighbors of the same quantity have its name in common."""
    first, rules = [""] * len(texts), ""
    others = [("", name) for name in texts]
    for name, group in groupby(columns, key=lambda column: column.header[0]):
        headers = [column.header for column in group]
        if len(headers) == 1:
            above, *rest = _lowered(headers[0])
            first.append(latex(above))
            others.append((rest[0], rest[1]))
            continue
        place = len(others) + 1
        first.append(rf"\multicolumn{{{len(headers)}}}{{c}}{{{latex(name)}}}")
        rules += rf"\cmidrule(lr){{{place}-{place + len(headers) - 1}}}"
        others += [_lowered(("", at, unit))[1:] for _, at, unit in headers]
    yield from filter(None, (latex_row(first) if any(first) else "", rules))
    for row in zip(*others, strict=True):
        if any(row):
            yield latex_row(map(latex, row))


def _lowered(header: tuple[str, str, str]) -> tuple[str, str, str]:
    """The lines of a header, with the empty ones above."""
    above, middle, below = sorted(header, key=bool)
    return above, middle, below
