"""Finds the trial of a run that a user names."""

from __future__ import annotations

from collections.abc import Sequence

from seqbench.errors import UsageError
from seqbench.report.names import some
from seqbench.suggest import suggested
from seqbench.summary.schema import Document, Trial

#: What a trial can be named by; what comes first wins.
NAMES = ("id", "case", "label", "model")


def find_trial(
    document: Document, name: str, seed: int | None = None, *, dataset: str | None = None
) -> Trial:
    """The successful trial with the id ``name``, or of the case, label or model with that name.

    Args:
        seed, dataset: can be left out if there is only one; ``dataset`` is its name or label.

    Raises:
        UsageError: there is no such trial, there are several, or it did not succeed.
    """
    found = [
        one
        for one in _named(document["trials"], name)
        if seed in (None, one["seed"]) and dataset in (None, one["dataset"], one["dataset_label"])
    ]
    if not found:
        ids = some([one["id"] for one in _named(document["trials"], name)])
        raise UsageError(f"{name!r} has no trial with that seed and dataset, only {ids}")
    if len(found) > 1:
        ids = some([one["id"] for one in found])
        raise UsageError(f"{name!r} could be {ids}: give a seed, a dataset, or one of these ids")
    (trial,) = found
    if trial["status"] != "ok":
        why = f"{trial['status']}: {trial['reason']}"
        raise UsageError(f"{trial['id']} has no trained model, since it did not succeed: {why}")
    return trial


def _named(trials: Sequence[Trial], name: str) -> list[Trial]:
    """The trials with that name. Raises UsageError: there are none."""
    for key in NAMES:
        found = [one for one in trials if one[key] == name]  # type: ignore[literal-required]
        if found:
            return found
    known = [str(one[key]) for key in ("label", "id") for one in trials]
    raise UsageError(suggested(f"this run has no trial of {name!r}", name, known))
