"""Trains trials again whose weights were removed on purpose, if a missing measurement needs them.

They are kept otherwise: results do not need the weights that they were made with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from seqbench.records import TrialRecord
from seqbench.report.text import counted
from seqbench.runner.context import RunContext
from seqbench.runner.phases.measure import Requested
from seqbench.runner.phases.prepare import Datasets
from seqbench.runner.phases.score import to_score
from seqbench.runner.phases.train import train_these, why_not_run

#: Why such a trial is run again.
RESTORED = "its weights were removed, and a missing measurement needs them"


def restore_weights(
    run: RunContext, trained: Sequence[TrialRecord], datasets: Datasets
) -> list[TrialRecord]:
    """Train the trials again whose removed weights are needed; returns the records of all
    successful trials. A trial that cannot be trained now keeps its record.

    Weights that differ from the removed ones, as they may on a GPU, make further measurements
    necessary, and these need the weights of further trials.
    """
    trials, tried = {trial.id: trial for trial in run.plan.trials}, set[str]()
    records = list(trained)
    while True:
        needed = [one for one in to_restore(run, records) if one.id not in tried]
        again = [one.id for one in needed if why_not_run(trials[one.id], run, datasets) is None]
        if not again:
            return records
        tried.update(one.id for one in needed)
        line = (
            f"{run.folder.path}: {counted(len(again), 'trial')} of {len(trials)} run again: "
            "their weights were removed, and missing measurements need them"
        )
        run.warn(line)
        before = {record.id: record for record in records if record.id in again}
        others = [record for record in records if record.id not in again]
        records = train_these([trials[name] for name in again], run, others, replaced=before)
        _warn_of_other_weights(run, before, records)


def _warn_of_other_weights(
    run: RunContext, before: Mapping[str, TrialRecord], records: Iterable[TrialRecord]
) -> None:
    """Warn if a trial has other weights, and thus other figures, than before."""
    for record in records:
        old = before.get(record.id)
        if old is not None and old.weights_sha256 != record.weights_sha256:
            figures = [one.metrics["value"] for one in (old, record)]
            run.warn(
                f"{record.id}: trained again, with other weights than before: its {record.metric} "
                f"changes from {figures[0]:.4g} to {figures[1]:.4g}; it is not reproducible here"
            )


def to_restore(
    run: RunContext, trained: Iterable[TrialRecord], requested: Requested | None = None
) -> list[TrialRecord]:
    """The trials whose weights were removed on purpose, and are needed.

    Args:
        trained: records of all successful trials.
        requested: the requested measurements, if they are known already.
    """
    trained = list(trained)
    gone = [one for one in trained if run.folder.removed.is_gone(one.weights)]
    if not gone:
        return []
    requested = requested or Requested.of(run, trained)
    missing = {one.activity.id for one in requested.missing_static()}
    needed = {job.payload.subject.weights for job in requested.static if job.id in missing}
    for contest, _ in requested.missing_contests():
        needed |= {subject.weights for case in contest.cases for subject in case.subjects}
    needed |= {record.weights for record, _ in to_score(run, trained)}
    return [one for one in gone if one.weights in needed]
