"""Confusion matrices: ``seqbench show RUN --confusion MODEL``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from seqbench.errors import UsageError
from seqbench.quantities import find
from seqbench.report.columns.column import Case, Document
from seqbench.report.numbers import NOT_AVAILABLE
from seqbench.report.terminal.style import empty_table
from seqbench.report.text import clean, counted, label
from seqbench.suggest import suggested

#: With more classes, recalls and the most frequent confusions are listed instead of a matrix.
MOST_CLASSES = 20

MOST_CONFUSIONS = 10

CLASS_WIDTH, HEADER_WIDTH = 12, 5


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix of one case on the test split, summed over its seeds.

    Args:
        title: the name of the case.
        classes: the names of the classes.
        counts: predictions, ``[true][predicted]``.
        seeds: the number of seeds.
    """

    title: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    seeds: int

    @property
    def recall(self) -> list[float | None]:
        """Recall of each class; None for a class that does not occur."""
        return [self.share(number, number) for number in range(len(self.classes))]

    def share(self, true: int, predicted: int) -> float | None:
        """Fraction of class ``true`` predicted as ``predicted``; None if it does not occur."""
        total = sum(self.counts[true])
        return self.counts[true][predicted] / total if total else None

    def most_frequent(self) -> list[tuple[int, int]]:
        """True and predicted class of the most frequent errors, at most ten."""
        places = range(len(self.classes))
        wrong = [(t, p) for t in places for p in places if t != p and self.counts[t][p]]
        wrong.sort(key=lambda pair: -self.counts[pair[0]][pair[1]])
        return wrong[:MOST_CONFUSIONS]


def print_confusion(document: Document, name: str, console: Console) -> None:
    """Print the confusion matrix of every case whose model's name or label is ``name``.

    Raises:
        UsageError: there is no such case, or none of them has a confusion matrix.
    """
    for confusion in confusions(document, name):
        for part in _parts(confusion, console.width):
            console.print(part)
        console.print()


def confusions(document: Document, name: str) -> list[Confusion]:
    """The confusion matrix of every case whose model's name or label is ``name``.

    Raises:
        UsageError: there is no such case, or none of them has a confusion matrix.
    """
    called = [case for case in document["cases"] if name in (case["model"], case["label"])]
    if not called:
        known = [name for case in document["cases"] for name in (label(case), clean(case["model"]))]
        shown = clean(name, 60)
        raise UsageError(
            suggested(f"--confusion {shown}: this run has no model {shown!r}", shown, known)
        )
    reasons = {case["id"]: _reason(case, document) for case in called}
    found = [_confusion(case, document) for case in called if not reasons[case["id"]]]
    if not found:
        raise UsageError(f"{_title(called[0])}: {reasons[called[0]['id']]}")
    return found


def _title(case: Case) -> str:
    return f"{label(case)} on {clean(case.get('dataset_label') or case['dataset'])}"


def _successful(case: Case, document: Document) -> list[Mapping[str, Any]]:
    """The trials of the case that succeeded."""
    return [t for t in document["trials"] if t["case"] == case["id"] and t["status"] == "ok"]


def _reason(case: Case, document: Document) -> str:
    """Why the case has no confusion matrix, or ``""``."""
    good = _successful(case, document)
    if not any(trial["case"] == case["id"] for trial in document["trials"]):
        return "no trial has run yet"
    if not good:
        return "no seed succeeded, so there is no confusion matrix"
    if "label" not in find(good[0]["metric"]).targets:
        return f"its targets are numbers ({good[0]['metric']}), so there are no classes to confuse"
    metrics = good[0]["metrics"]
    if "confusion_reason" in metrics:
        return f"no confusion matrix was recorded: {metrics['confusion_reason']}"
    if any("confusion" not in trial["metrics"] for trial in good):
        return "this run predates confusion matrices; run its suite again"
    return ""


def _confusion(case: Case, document: Document) -> Confusion:
    good = _successful(case, document)
    tables = [trial["metrics"]["confusion"] for trial in good]
    counts = tuple(
        tuple(sum(cells) for cells in zip(*rows, strict=True)) for rows in zip(*tables, strict=True)
    )
    classes = tuple(clean(name) or "?" for name in good[0]["metrics"]["classes"])
    return Confusion(_title(case), classes, counts, len(good))


def _parts(confusion: Confusion, width: int) -> Iterator[RenderableType]:
    total = sum(map(sum, confusion.counts))
    seeds = counted(confusion.seeds, "seed")
    title = Text(confusion.title, "bold")
    yield title.append(f"  test split, {seeds}, {total:,} predictions", "not bold dim")
    heads = headers(confusion.classes)
    needed = CLASS_WIDTH + 8 + sum(max(len(head), 4) + 1 for head in heads)
    if len(heads) <= MOST_CLASSES and needed <= width:
        yield _square(confusion, heads)
        yield Text("rows: true class; columns: predicted class; cells: % of the row", "dim")
    else:
        yield _recalls(confusion)
        yield Text("\nmost frequent errors", "bold")
        yield _frequent(confusion)


def headers(classes: Sequence[str]) -> list[str]:
    """Short unique names: the first letters, or numbers from 0 if those are not unique."""
    short = [name[:HEADER_WIDTH].strip() for name in classes]
    return short if len(set(short)) == len(short) else [str(n) for n in range(len(classes))]


def _square(confusion: Confusion, heads: Sequence[str]) -> Table:
    table = empty_table()
    numbered = heads[0] != confusion.classes[0][:HEADER_WIDTH].strip()
    table.add_column(
        Text("class", "bold"), max_width=CLASS_WIDTH, no_wrap=True, overflow="ellipsis"
    )
    for head in (*heads, "recall"):
        table.add_column(Text(head, "bold"), justify="right", no_wrap=True)
    for true, name in enumerate(confusion.classes):
        row = [Text(f"{heads[true]} {name}" if numbered else name)]
        for predicted in range(len(heads)):
            text = _percent(confusion.share(true, predicted), short=True)
            style = "bold" if true == predicted else "dim" if text == "0" else ""
            row.append(Text(text, style))
        table.add_row(*row, Text(_percent(confusion.recall[true])))
    return table


def _recalls(confusion: Confusion) -> Table:
    table = empty_table()
    table.add_column(Text("class", "bold"), overflow="fold")
    table.add_column(Text("recall %", "bold"), justify="right", no_wrap=True)
    for name, recall in zip(confusion.classes, confusion.recall, strict=True):
        table.add_row(Text(name), Text(_percent(recall)))
    return table


def _frequent(confusion: Confusion) -> Table:
    table = empty_table()
    for header in ("true", "predicted"):
        table.add_column(Text(header, "bold"), overflow="fold")
    for header in ("% of true", "count"):
        table.add_column(Text(header, "bold"), justify="right", no_wrap=True)
    for true, predicted in confusion.most_frequent():
        names = confusion.classes[true], confusion.classes[predicted]
        count = f"{confusion.counts[true][predicted]:,}"
        cells = (*names, _percent(confusion.share(true, predicted)), count)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _percent(share: float | None, *, short: bool = False) -> str:
    """``87.4``; short: ``0``, ``3.2`` or ``87``. Only exact values are shown as 0 or 100."""
    if share is None:
        return NOT_AVAILABLE
    percent = 100 * share
    if short and percent == 0:
        return "0"
    if short and percent < 0.05:
        return "<0.1"
    if short and percent >= 9.95:
        return f"{percent:.0f}" if percent == 100 or percent < 99.5 else ">99"
    return f"{percent:.1f}"
