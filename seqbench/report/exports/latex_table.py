"""Tables in LaTeX: floats with caption, label and notes that fit the page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from seqbench.report import numbers
from seqbench.report.exports.latex_text import latex, latex_figure, latex_paragraph

#: What the tables need, and how they fit.
USAGE = (
    r"\usepackage{booktabs, adjustbox}",
    "Tables wider than the text are shrunk to fit. In two columns, table* spans both of them.",
)

#: Rows and lines of notes that fit one page; longer tables are divided.
MOST_LINES, LEAST_ROWS = 45, 10

#: Characters of notes in one line, roughly.
LINE = 100

#: Marks the figure of a row: takes the row and the figure, and returns LaTeX.
Mark = Callable[[int, str], str]


@dataclass(frozen=True, kw_only=True)
class LatexTable:
    """One table.

    Args:
        caption: as plain text.
        label: see :class:`Labels`.
        sides: for each column ``l`` or ``r``.
        heads: the rows of the header, as LaTeX.
        rows: for each row its cells, as LaTeX.
        notes: lines below the table, as plain text.
    """

    caption: str
    label: str
    sides: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


class Labels:
    """Makes a label for every table of a file, each different from the others."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, *words: str) -> str:
        """``tab:fashion-fashion-mnist``, from any text."""
        plain = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower())[:60].strip("-")
        label, number = f"tab:{plain or 'results'}", 1
        while label in self._taken:
            number += 1
            label = f"tab:{plain or 'results'}-{number}"
        self._taken.add(label)
        return label


def latex_table(table: LatexTable) -> Iterator[str]:
    """The lines of a table; of several, one after the other, if it does not fit a page."""
    parts = _parts(table)
    for number, rows in enumerate(parts, start=1):
        caption = table.caption + (f" ({number} of {len(parts)})" if len(parts) > 1 else "")
        label = table.label + (f":{number}" if number > 1 else "")
        yield from (r"\begin{table}", r"\centering")
        yield rf"\caption{{{latex_paragraph(caption)}}}"
        yield rf"\label{{{label}}}"
        yield r"\small\setlength{\tabcolsep}{4pt}"
        yield r"\begin{adjustbox}{max width=\linewidth}"
        yield rf"\begin{{tabular}}{{@{{}}{table.sides}@{{}}}}"
        yield from (r"\toprule", *table.heads, r"\midrule")
        yield from map(latex_row, rows)
        yield from (r"\bottomrule", r"\end{tabular}", r"\end{adjustbox}")
        if table.notes and number == len(parts):
            yield from latex_notes(table.notes)
        yield r"\end{table}"


def _parts(table: LatexTable) -> list[Sequence[tuple[str, ...]]]:
    """The rows in parts of about the same length that fit a page."""
    rows = len(table.rows)
    taken = sum(math.ceil(len(note) / LINE) for note in table.notes)
    number = max(math.ceil(rows / max(MOST_LINES - taken, LEAST_ROWS)), 1)
    size = math.ceil(rows / number)
    return [table.rows[size * part : size * (part + 1)] for part in range(number)]


def latex_notes(lines: Iterable[str]) -> Iterator[str]:
    """A paragraph in small print, of lines of plain text such as ``throughput: per second``."""
    yield r"\par\smallskip\raggedright\scriptsize"
    for line in lines:
        topic, colon, rest = line.partition(": ")
        end = "" if line.endswith((".", "…")) else "."
        topic = latex_paragraph(topic)
        yield rf"\emph{{{topic}}}: {latex_paragraph(rest)}{end}" if colon else topic + end


def latex_row(cells: Iterable[str]) -> str:
    """A row of escaped cells."""
    return " & ".join(cells) + r" \\"


def latex_comments(lines: Iterable[str]) -> list[str]:
    """Lines that are not printed."""
    return [f"% {' '.join(line.split())}" for line in lines]


def latex_figures(texts: Sequence[str], mark: Mark = lambda _, figure: figure) -> list[str]:
    r"""The figures of a column of side ``r``, aligned at their decimal points.

    Half-widths (``0.9 ± 0.1``) are aligned, too, and intervals (``9 [8–10]``) at the right. What a
    figure lacks beside the others is filled with a blank of the same width (``\phantom``).

    Args:
        mark: adds to the figure of a row, given as LaTeX, without the blank after it.
    """
    parts = [[*re.split(r"( ± | \[)", text, maxsplit=1), "", ""][:3] for text in texts]
    means, signs, ends = ([part[place] for part in parts] for place in range(3))
    sign = next(filter(None, signs), "")
    aligned = numbers.aligned if "±" in sign else _at_right
    cells = []
    for row, ((_, mean, gap), (before, end, after), own) in enumerate(
        zip(_filled(numbers.aligned(means)), _filled(aligned(ends)), signs, strict=True)
    ):
        if not own:
            cells.append(mark(row, mean) + gap + _blank(sign) + before + after)
        elif "±" in own:
            cells.append(mark(row, mean + gap + latex(own) + before + end) + after)
        else:  # no blank inside the brackets
            cells.append(mark(row, mean + gap + before + latex(own) + end) + after)
    return cells


def _at_right(texts: Sequence[str]) -> list[str]:
    width = max(map(len, texts), default=0)
    return [text.rjust(width) for text in texts]


def _filled(texts: Sequence[str]) -> list[tuple[str, str, str]]:
    """Of texts of equal length the text and the blanks before and after it, as wide as what other
    texts have there.
    """
    columns = zip(*texts, strict=True)
    widest = "".join(next((c for c in column if c != " "), " ") for column in columns)
    found = []
    for text in texts:
        before = len(text) - len(text.lstrip())
        after = max(len(text.rstrip()), before)
        found.append((_blank(widest[:before]), latex_figure(text.strip()), _blank(widest[after:])))
    return found


def _blank(text: str) -> str:
    return rf"\phantom{{{latex_figure(re.sub('[0-9]', '0', text))}}}" if text else ""
