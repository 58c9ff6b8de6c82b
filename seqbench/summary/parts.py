"""The figure of each part of the test split over the seeds: its test sets, or ranges of length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqbench.records import Part, TrialRecord
from seqbench.stats.intervals import mean_interval
from seqbench.store.stored_plan import StoredMetric

if TYPE_CHECKING:
    from seqbench.summary import schema

#: What tells the parts of a split apart. Parts of other data are not the same.
Key = tuple[str, int, int, int]

Values = Sequence[float | None]


def parts_of(
    trials: Sequence[TrialRecord], metrics: Sequence[StoredMetric]
) -> list[schema.PartSummary]:
    """The figure of each part over the successful seeds of a case, in the order of the dataset.

    A part that one of these seeds lacks has no figure, but a reason: the mean of the others would
    be biased. Empty if no successful seed recorded parts.

    Args:
        trials: those of the case that have ended.
        metrics: of plugins, which have a figure of each test set.
    """
    good = [record for record in trials if record.status == "ok"]
    by_seed = [{_key(part): part for part in one.metrics.get("parts", ())} for one in good]
    keys = dict.fromkeys(key for parts in by_seed for key in parts)
    return [_summary(key, good, by_seed, metrics) for key in keys]


def score_sets(record: TrialRecord, metrics: Sequence[StoredMetric]) -> dict[str, dict[str, float]]:
    """For each metric of a plugin, by label, its value on each of several test sets."""
    found = {
        metric["label"]: record.scores[metric["id"]].get("sets")
        for metric in metrics
        if metric["id"] in record.scores
    }
    return {label: dict(sets) for label, sets in found.items() if sets}


def _key(part: Part) -> Key:
    return part["name"], part["shortest"], part["longest"], part["sequences"]


def _summary(
    key: Key,
    good: Sequence[TrialRecord],
    by_seed: Sequence[Mapping[Key, Part]],
    metrics: Sequence[StoredMetric],
) -> schema.PartSummary:
    name, shortest, longest, sequences = key
    found = [parts.get(key) for parts in by_seed]
    reasons = {part.get("reason", "") for part in found if part is not None}
    values = [None if part is None else part["value"] for part in found]
    return {
        "name": name,
        "shortest": shortest,
        "longest": longest,
        "sequences": sequences,
        "headline": _headline(name, good),
        **_figure(values, good, reasons),
        "scores": _scores(name, good, metrics),
    }


def _headline(name: str, good: Sequence[TrialRecord]) -> bool | None:
    """Whether the figure in tables depends on a part; None if no seed recorded it."""
    if not name:
        return True
    recorded = [one.metrics["headline"] for one in good if "headline" in one.metrics]
    return name in recorded[0] if recorded else None


def _scores(
    name: str, good: Sequence[TrialRecord], metrics: Sequence[StoredMetric]
) -> dict[str, schema.PartFigure]:
    """The metrics of plugins on a test set; those that no seed has there are left out."""
    found: dict[str, schema.PartFigure] = {}
    for metric in metrics:
        scores: list[Mapping[str, Any]] = [one.scores.get(metric["id"], {}) for one in good]
        values = [(score.get("sets") or {}).get(name) for score in scores]
        if name and any(value is not None for value in values):
            reasons = {score.get("reason", "") for score in scores}
            found[metric["label"]] = _figure(values, good, reasons)
    return found


def _figure(values: Values, good: Sequence[TrialRecord], reasons: set[str]) -> schema.PartFigure:
    """Mean and interval over the seeds; without them if a seed has no value, and why."""
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        interval = mean_interval(known)
        return {
            "mean": interval["mean"],
            "low": interval["low"],
            "high": interval["high"],
            "n": interval["n"],
            "reason": "",
        }
    without = [str(one.seed) for one, value in zip(good, values, strict=True) if value is None]
    seeds = f"seed{'s' if len(without) > 1 else ''} {', '.join(without)}"
    why = " or ".join(sorted(filter(None, reasons))) or "no figure was recorded"
    reason = why if not known else f"{seeds}: {why}"
    return {"mean": None, "low": None, "high": None, "n": len(known), "reason": reason}
