"""The figures of each trial on each test set, or range of length, as rows of plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seqbench.records import Part
from seqbench.report.columns.column import Document

#: The keys of a trial that its rows have; the last one only in a case of pooled resamples.
TRIAL = ("case", "label", "model", "dataset", "dataset_label", "device", "seed", "resample")

Row = dict[str, Any]


def part_rows(document: Document) -> list[Row]:
    """A row for each part of each successful trial and each metric that was recorded for it."""
    return [row for trial in document["trials"] for row in _rows(trial)]


def _rows(trial: Mapping[str, Any]) -> Iterator[Row]:
    if trial["status"] != "ok":
        return
    own = {"trial": trial["id"], **{name: trial[name] for name in TRIAL if name in trial}}
    scores: Mapping[str, Mapping[str, float]] = trial.get("score_sets") or {}
    for part in trial["metrics"].get("parts", ()):
        about = _about(part, trial["metrics"].get("headline"))
        value, reason = part["value"], part.get("reason", "")
        yield {**own, "metric": trial["metric"], **about, "value": value, "reason": reason}
        for metric, values in scores.items():
            if part["name"] in values:
                value = values[part["name"]]
                yield {**own, "metric": metric, **about, "value": value, "reason": ""}


def _about(part: Part, headline: list[str] | None) -> Row:
    """The part; ``headline``: whether the figure in tables depends on it, None if unknown."""
    name = part["name"]
    counts = True if not name else None if headline is None else name in headline
    return {
        "test_set": name,
        "shortest": part["shortest"],
        "longest": part["longest"],
        "sequences": part["sequences"],
        "headline": counts,
    }
