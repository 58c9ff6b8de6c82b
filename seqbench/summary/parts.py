"""The figure of each part of the test split over the seeds: its test sets, or ranges of length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqbench.records import Part, TrialRecord
from seqbench.store.stored_plan import StoredMetric
from seqbench.summary.rows import Row, interval_of

if TYPE_CHECKING:
    from seqbench.summary import schema

#: What tells the parts of a split apart. Parts of other data are not the same. Those of pooled
#: resamples are: test sets of the same name, and the same lengths.
Key = tuple[str, int, int, int]

#: Why resamples have no figures by length.
RANGES_DIFFER = (
    "its resamples have sequences of other lengths, and thus other ranges of length; "
    "`seqbench export --table parts` has the figures of each trial"
)

#: More resamples without a figure are counted.
MOST_NAMED = 8


def parts_of(
    row: Row, metrics: Sequence[StoredMetric], peers: Sequence[Row]
) -> list[schema.PartSummary]:
    """The figure of each part over the successful seeds of a row, in the order of the dataset; of
    pooled resamples, over these, of each the mean over its seeds.

    A part that one of these trials lacks has no figure, but a reason: the mean of the others would
    be biased. Empty if no successful trial recorded parts, or if :func:`parts_reason` says why.

    Args:
        metrics: of plugins, which have a figure of each test set.
        peers: the rows of the same dataset, this one included: all of them have the same parts.
    """
    if parts_reason(row, peers):
        return []
    by_trial = [_by_key(row, trial) for trial in row.good]
    keys = dict.fromkeys(key for parts in by_trial for key in parts)
    ordered = sorted(keys, key=lambda key: key[1]) if row.pooled else keys
    return [_summary(key, row, metrics, peers) for key in ordered]


def parts_reason(row: Row, peers: Iterable[Row]) -> str:
    """Why pooled resamples have no figures by length: their ranges of length differ, so that there
    is nothing to average. Single lengths can be compared even if a resample lacks one.
    """
    if row.pooled is None:
        return ""
    found = {
        frozenset(key for key in parts if not key[0] and key[1] < key[2])
        for peer in peers
        for trial in peer.good
        for parts in [_by_key(row, trial)]
        if parts
    }
    return RANGES_DIFFER if len(found) > 1 else ""


def score_sets(record: TrialRecord, metrics: Sequence[StoredMetric]) -> dict[str, dict[str, float]]:
    """For each metric of a plugin, by label, its value on each of several test sets."""
    found = {
        metric["label"]: record.scores[metric["id"]].get("sets")
        for metric in metrics
        if metric["id"] in record.scores
    }
    return {label: dict(sets) for label, sets in found.items() if sets}


def _by_key(row: Row, trial: TrialRecord) -> dict[Key, Part]:
    return {_key(row, part): part for part in trial.metrics.get("parts", ())}


def _key(row: Row, part: Part) -> Key:
    if row.pooled is None:
        return part["name"], part["shortest"], part["longest"], part["sequences"]
    return (part["name"], 0, 0, 0) if part["name"] else ("", part["shortest"], part["longest"], 0)


def _summary(
    key: Key, row: Row, metrics: Sequence[StoredMetric], peers: Sequence[Row]
) -> schema.PartSummary:
    name = key[0]
    same = [one for one in _each(key, row, peers if row.pooled else [row]) if one is not None]
    found = [_by_key(row, trial).get(key) for trial in row.good]
    reasons = {part.get("reason", "") for part in found if part is not None}
    values = {
        trial.id: None if part is None else part["value"]
        for trial, part in zip(row.good, found, strict=True)
    }
    return {
        "name": name,
        "shortest": min(part["shortest"] for part in same),
        "longest": max(part["longest"] for part in same),
        "sequences": sum(part["sequences"] for part in same),
        "headline": _headline(name, row.good),
        **_figure(values, row, reasons),
        "scores": _scores(name, row, metrics),
    }


def _each(key: Key, row: Row, peers: Sequence[Row]) -> Iterable[Part | None]:
    """The part in each resample, whichever model was tested on it; once if nothing is pooled."""
    found: dict[str, Part | None] = {}
    for peer in peers:
        for trial in peer.good:
            resample = "" if row.pooled is None else repr(peer.value_of(trial))
            found[resample] = found.get(resample) or _by_key(row, trial).get(key)
    return found.values()


def _headline(name: str, good: Sequence[TrialRecord]) -> bool | None:
    """Whether the figure in tables depends on a part; None if no seed recorded it."""
    if not name:
        return True
    recorded = [one.metrics["headline"] for one in good if "headline" in one.metrics]
    return name in recorded[0] if recorded else None


def _scores(name: str, row: Row, metrics: Sequence[StoredMetric]) -> dict[str, schema.PartFigure]:
    """The metrics of plugins on a test set; those that no seed has there are left out."""
    found: dict[str, schema.PartFigure] = {}
    for metric in metrics:
        scores: dict[str, Mapping[str, Any]] = {
            trial.id: trial.scores.get(metric["id"], {}) for trial in row.good
        }
        values = {trial: (score.get("sets") or {}).get(name) for trial, score in scores.items()}
        if name and any(value is not None for value in values.values()):
            reasons = {score.get("reason", "") for score in scores.values()}
            found[metric["label"]] = _figure(values, row, reasons)
    return found


def _figure(values: Mapping[str, float | None], row: Row, reasons: set[str]) -> schema.PartFigure:
    """Mean and interval over the seeds, or over the resamples; without them if a trial has no
    value, and why.

    Args:
        values: of each successful trial.
    """
    known = {trial: value for trial, value in values.items() if value is not None}
    if len(known) == len(values):
        interval = interval_of(row, known)
        return {
            "mean": interval["mean"],
            "low": interval["low"],
            "high": interval["high"],
            "n": interval["n"],
            "reason": "",
        }
    without = [trial for trial in row.good if trial.id not in known]
    why = " or ".join(sorted(filter(None, reasons))) or "no figure was recorded"
    reason = why if not known else f"{_named(without, row)}: {why}"
    return {"mean": None, "low": None, "high": None, "n": _complete(known, row), "reason": reason}


def _complete(known: Mapping[str, float], row: Row) -> int:
    """How many of the seeds, or of the resamples, have a figure."""
    if row.pooled is None:
        return len(known)
    every = row.by_resample({trial.id: 0.0 for trial in row.good})
    have = row.by_resample(known)
    return sum(len(have.get(one, ())) == len(some) for one, some in every.items())


def _named(trials: Sequence[TrialRecord], row: Row) -> str:
    """``seeds 0, 2``, or ``resamples 3, 5``."""
    what, values = "seed", [str(trial.seed) for trial in trials]
    if row.pooled is not None:
        what = "resample"
        values = list(dict.fromkeys(str(row.value_of(trial)) for trial in trials))
        if len(values) > MOST_NAMED:
            return f"{len(values)} {what}s"
    return f"{what}{'s' if len(values) > 1 else ''} {', '.join(values)}"
