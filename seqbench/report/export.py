"""The same tables for other programs: Markdown, CSV, LaTeX and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO

from seqbench.report import notes
from seqbench.report.column import Case, Column, Document
from seqbench.report.columns import ResultTable, result_tables
from seqbench.report.speed import FEW, latency_settings
from seqbench.report.text import clean, label, settings
from seqbench.report.warnings import warnings

Escape = Callable[[str], str]


def write_json(document: Document, stream: TextIO) -> None:
    """The document itself, in SI units and full precision; piece by piece, for it may be large."""
    stream.writelines(json.JSONEncoder(indent=1).iterencode(document))
    stream.write("\n")


# ---------------------------------------------------------------------------------------- CSV


def to_csv(document: Document) -> str:
    """One row for each case, in full precision, with the SI unit in each column's name.

    Text that a spreadsheet would take for a formula begins with ``'``.
    """
    rows: list[dict[str, object]] = []
    for table in result_tables(document):
        for number, case in enumerate(table.cases):
            figures = {
                name: value
                for column in table.columns
                if column.field
                for name, value in _figures(column, number)
            }
            rows.append({**_identity(case, table, document), **figures})
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _identity(case: Case, table: ResultTable, document: Document) -> dict[str, object]:
    texts = {
        "suite": document["suite"],
        "run": document["run"],
        "case": case["id"],
        "label": case["label"],
        "model": case["model"],
        "params": settings(case["params"]),
        "dataset": case["dataset"],
        "dataset_params": settings(case["dataset_params"]),
        "device": case["device"],
        "status": case["status"] or "",
        "reason": case["reason"] or "",
        "metric": table.metric,
    }
    seeds = {f"seeds_{status}": n for status, n in case["seeds"].items() if status != "ok"}
    return {**{name: _defused(clean(text)) for name, text in texts.items()}, **seeds}


def _defused(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _figures(column: Column, number: int) -> Iterator[tuple[str, float | str]]:
    """The figure of one case, and its interval if such a figure can have one."""
    estimate = column.estimates[number]
    for part in ("value", "low", "high") if column.interval else ("value",):
        value = getattr(estimate, part, None)
        words = (column.field, part if part != "value" else "", column.si)
        yield "_".join(filter(None, words)), "" if value is None else value
    if column.letters is not None:
        yield f"{column.field}_group", column.letters[number]


# ----------------------------------------------------------------------------------- Markdown


def to_markdown(document: Document) -> str:
    """A table for each dataset, rounded, the best in bold; then failures and notes."""
    tables = result_tables(document)
    lines: list[str] = []
    for table in tables:
        lines += [f"### {_markdown(_title(table))}", "", *_markdown_table(document, table), ""]
        failed = notes.failures(document, table)
        lines += [*_markdown_list(failed), ""] if failed else []
    noted = notes.user_notes(document)
    lines += [*(_markdown(line) for line in noted), ""] if noted else []
    below = [*warnings(document), *_explanations(document, tables)]
    below.append(f"results: {clean(document['run'])}")
    return "\n".join([*lines, *_markdown_list(below)]) + "\n"


def _markdown_table(document: Document, table: ResultTable) -> Iterator[str]:
    texts, columns = _shown(document, table)
    heads = [name for name, _ in texts] + [_head(column, _markdown) for column in columns]
    yield _markdown_row(heads)
    yield _markdown_row(["---"] * len(texts) + ["---:"] * len(columns))
    for number in range(len(table.cases)):
        row = [_markdown(cells[number]) for _, cells in texts]
        yield _markdown_row(row + [_figure(column, number, "**{}**", " {}") for column in columns])


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_list(lines: Iterable[str]) -> list[str]:
    return [f"- {_markdown(line)}" for line in lines]


def _markdown(text: str) -> str:
    """Text with everything escaped that Markdown, or HTML in it, gives a meaning to."""
    escaped = re.sub(r"([\\`*_\[\]<>|~&#!$])", r"\\\1", text)
    # What would begin a list, a heading or a rule at the start of a line.
    escaped = re.sub(r"^([-+=])", r"\\\1", escaped)
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", escaped)


# -------------------------------------------------------------------------------------- LaTeX


def to_latex(document: Document) -> str:
    r"""A ``tabular`` for each dataset, in the manner of booktabs (``\usepackage{booktabs}``)."""
    tables = result_tables(document)
    lines = [r"% \usepackage{booktabs}"]
    for table in tables:
        lines += _latex_table(document, table)
    below = [*notes.user_notes(document), *warnings(document)]
    below += [*_explanations(document, tables), f"results: {clean(document['run'])}"]
    return "\n".join([*lines, *(f"% {line}" for line in below)]) + "\n"


def _latex_table(document: Document, table: ResultTable) -> Iterator[str]:
    texts, columns = _shown(document, table)
    yield from (r"\begin{table}", r"\centering", rf"\caption{{{_latex(_title(table))}}}")
    yield rf"\begin{{tabular}}{{{'l' * len(texts)}{'r' * len(columns)}}}"
    yield r"\toprule"
    for level in range(3):
        heads = [name if level == 0 else "" for name, _ in texts]
        yield _latex_row(heads + [_latex(column.header[level]) for column in columns])
    yield r"\midrule"
    for number in range(len(table.cases)):
        row = [_latex(cells[number]) for _, cells in texts]
        yield _latex_row(row + [_latex_figure(column, number) for column in columns])
    yield from (r"\bottomrule", r"\end{tabular}")
    for line in notes.failures(document, table):
        yield rf"\par\small {_latex(line)}"
    yield r"\end{table}"


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_figure(column: Column, number: int) -> str:
    return _figure(column, number, r"\textbf{{{}}}", r"\textsuperscript{{{}}}", _latex)


def _latex(text: str) -> str:
    """Text with everything escaped that LaTeX gives a meaning to."""
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


# ------------------------------------------------------------------------------- what they share


def _shown(
    document: Document, table: ResultTable
) -> tuple[list[tuple[str, Sequence[str]]], list[Column]]:
    """Text columns (header and cells), and the figures that a terminal always shows."""
    texts: list[tuple[str, Sequence[str]]] = [("case", [label(case) for case in table.cases])]
    if notes.several_devices(document):
        texts.append(("device", [clean(case["device"]) for case in table.cases]))
    statuses = ["; ".join(notes.status_lines(case)) for case in table.cases]
    if any(status != "ok" for status in statuses):
        texts.append(("status", statuses))
    return texts, [column for column in table.columns if column.rank == 0]


def _explanations(document: Document, tables: Iterable[ResultTable]) -> list[str]:
    tables = list(tables)
    columns = [column for table in tables for column in _shown(document, table)[1]]
    lines = notes.explanations(document, columns, "bold")
    settings = [len(latency_settings(table.cases)) for table in tables]
    if max(settings, default=0) > FEW:
        lines.append(f"latency was measured at {max(settings)} settings; --format csv has all.")
    return lines


def _title(table: ResultTable) -> str:
    params = settings(table.params)
    return clean(table.dataset) + (f" ({params})" if params else "")


def _head(column: Column, escape: Escape) -> str:
    return escape(", ".join(line for line in column.header if line))


def _figure(column: Column, number: int, bold: str, letters: str, escape: Escape = str) -> str:
    """One cell: bold if it is the best, then its letters."""
    text = escape(column.texts[number])
    text = bold.format(text) if column.top[number] else text
    letters_of = column.letters[number] if column.letters else ""
    return text + (letters.format(letters_of) if letters_of else "")
