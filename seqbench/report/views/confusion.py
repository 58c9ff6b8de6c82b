"""The confusion matrices of a model, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqbench.errors import UsageError
from seqbench.report.columns.column import Case, Document
from seqbench.report.names import repeats_words, some
from seqbench.report.numbers import NOT_AVAILABLE
from seqbench.report.text import LONGEST_LABEL, clean, label, settings
from seqbench.report.views.sheet import Sheet, View
from seqbench.suggest import suggested

#: With more classes, recalls and the most frequent confusions are listed instead of a matrix.
MOST_CLASSES = 20

MOST_CONFUSIONS = 10

HEADER_WIDTH = 5

CELLS = "rows: true class; columns: predicted class; cells: % of the row"


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix of one case, summed over its seeds.

    Args:
        title: the name of the case.
        classes: the names of the classes.
        counts: predictions, ``[true][predicted]``.
        seeds: the number of trained models: seeds, of each resample.
        where: what was predicted: ``test split``, or the test sets that the metric is of.
        resamples: the number of resamples, if the case pools some.
        identity: names of the case, for records.
    """

    title: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    seeds: int
    where: str = "test split"
    identity: Mapping[str, Any] = field(default_factory=dict)
    resamples: int = 0

    @property
    def basis(self) -> str:
        """``test split, 3 seeds, 6,000 predictions``."""
        total = sum(map(sum, self.counts))
        repeats = repeats_words(self.seeds, self.resamples)
        return f"{self.where}, {repeats}, {total:,} predictions"

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


def confusion_view(document: Document, name: str) -> View:
    """A table for every case whose model's name or label is ``name``.

    Raises:
        UsageError: there is no such case, or none of them has a confusion matrix.
    """
    found = confusions(document, name)
    sheets = tuple(sheet for confusion in found for sheet in _sheets(confusion))
    notes = (CELLS,) if any(len(one.classes) <= MOST_CLASSES for one in found) else ()
    return View("confusion", document["run"], sheets, notes)


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


def confusion_of(case: Case, document: Document) -> Confusion:
    """The confusion matrix of one case. Raises UsageError: it has none, and why."""
    reason = _reason(case, document)
    if reason:
        raise UsageError(reason)
    return _confusion(case, document)


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
    metrics = good[0]["metrics"]
    if "mse" in (good[0]["metric"], *metrics):
        return f"its targets are numbers ({good[0]['metric']}), so there are no classes to confuse"
    if "confusion_reason" in metrics:
        return f"no confusion matrix was recorded: {metrics['confusion_reason']}"
    if any("confusion" not in trial["metrics"] for trial in good):
        return "this run predates confusion matrices; run its suite again"
    if any(trial["metrics"]["classes"] != metrics["classes"] for trial in good):
        return "its resamples have different classes"
    return ""


def _confusion(case: Case, document: Document) -> Confusion:
    good = _successful(case, document)
    tables = [trial["metrics"]["confusion"] for trial in good]
    counts = tuple(
        tuple(sum(cells) for cells in zip(*rows, strict=True)) for rows in zip(*tables, strict=True)
    )
    classes = tuple(clean(name) or "?" for name in good[0]["metrics"]["classes"])
    identity = {
        "case": case["id"],
        "label": case["label"],
        "dataset": case["dataset"],
        "dataset_params": settings(case["dataset_params"]),
        "device": case["device"],
    }
    return Confusion(
        _title(case),
        classes,
        counts,
        seeds=len(good),
        where=_where(good[0]["metrics"].get("headline") or ()),
        identity=identity,
        resamples=len({repr(t["resample"]) for t in good}) if case.get("resamples") else 0,
    )


def _where(headline: Sequence[str]) -> str:
    """``test sets clean, noisy``, of several."""
    if not headline:
        return "test split"
    names = some([clean(name, LONGEST_LABEL) for name in headline])
    return f"test set{'s' if len(headline) > 1 else ''} {names}"


def _sheets(confusion: Confusion) -> Iterator[Sheet]:
    """The matrix; with many classes the recalls and the most frequent errors.

    The records have every pair of classes.
    """
    title, classes = f"{confusion.title}: {confusion.basis}", range(len(confusion.classes))
    records = tuple(
        {**confusion.identity, "true": confusion.classes[true],
         "predicted": confusion.classes[predicted], "count": confusion.counts[true][predicted],
         "share": confusion.share(true, predicted), "seeds": confusion.seeds}
        for true in classes for predicted in classes
    )  # fmt: skip
    if len(classes) <= MOST_CLASSES:
        rows = [
            (confusion.classes[true],
             *(percent(confusion.share(true, p), short=True) for p in classes),
             percent(confusion.recall[true]))
            for true in classes
        ]  # fmt: skip
        headers = ("class", *confusion.classes, "recall")
        yield Sheet(
            title=title,
            headers=headers,
            texts=tuple(rows),
            records=records,
            sides="l" + "r" * (len(classes) + 1),
        )
        return
    recalls = [(n, percent(r)) for n, r in zip(confusion.classes, confusion.recall, strict=True)]
    yield Sheet(
        title=title,
        headers=("class", "recall %"),
        texts=tuple(recalls),
        records=records,
        sides="lr",
    )
    yield Sheet(
        title=f"{confusion.title}: most frequent errors",
        headers=("true", "predicted", "% of true", "count"),
        texts=tuple(frequent_texts(confusion)), records=(), sides="llrr",
    )  # fmt: skip


def frequent_texts(confusion: Confusion) -> Iterator[tuple[str, ...]]:
    """True class, predicted class, % of the true class and count of the most frequent errors."""
    for true, predicted in confusion.most_frequent():
        names = confusion.classes[true], confusion.classes[predicted]
        count = f"{confusion.counts[true][predicted]:,}"
        yield (*names, percent(confusion.share(true, predicted)), count)


def headers(classes: Sequence[str]) -> list[str]:
    """Short unique names: the first letters, or numbers from 0 if those are not unique."""
    short = [name[:HEADER_WIDTH].strip() for name in classes]
    return short if len(set(short)) == len(short) else [str(n) for n in range(len(classes))]


def percent(share: float | None, *, short: bool = False) -> str:
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
