"""Computes the plugins' metrics on the trained models."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from seqbench.executors.base import Job
from seqbench.plan.cases import Metric, Trial
from seqbench.records import TrialRecord
from seqbench.runner.context import RunContext, explained_reason
from seqbench.runner.phases.train import training_job, why_not_run

#: Seconds for one metric of one trained model.
SCORE_LIMIT = 600.0


def to_score(work: RunContext, trained: Iterable[TrialRecord]) -> list[tuple[TrialRecord, Metric]]:
    """The metrics of plugins that are yet to be asked about trained models."""
    return [
        (record, metric)
        for record in trained
        for metric in work.plan.metrics
        for score in [record.scores.get(metric.id)]
        if score is None or (score["status"] not in ("ok", "skipped") and work.retry_failed)
    ]


def score_trials(
    work: RunContext, trained: Sequence[TrialRecord], ready: Mapping[str, Path | str]
) -> None:
    """Asks the metrics of plugins about each trained model. Each in a job of its own: whatever
    becomes of one, the trial and the other metrics stand.
    """
    records = {record.id: record for record in trained}
    trials = {trial.id: trial for trial in work.plan.trials}
    jobs, asked, impossible = [], {}, set()
    for record, metric in to_score(work, trained):
        trial = trials[record.id]
        problem = why_not_run(trial, work, ready)
        if problem is not None:
            impossible.add(problem.reason)
            continue
        job = _scoring_job(trial, metric, work, ready)
        jobs.append(job)
        asked[job.id] = (record.id, metric)
    for reason in sorted(impossible):  # a later attempt may find it
        warnings.warn(f"not all metrics could be asked: {reason}", stacklevel=2)
    for outcome in work.do("score", jobs):
        name, metric = asked[outcome.job.id]
        score = outcome.result
        if outcome.status != "ok":
            reason = explained_reason(outcome, work)
            score = {"status": outcome.status, "value": None, "reason": reason}
        scores = {**records[name].scores, metric.id: score}
        records[name] = dataclasses.replace(records[name], scores=scores)
        work.folder.write_trial(records[name])


def _scoring_job(
    trial: Trial, metric: Metric, work: RunContext, ready: Mapping[str, Path | str]
) -> Job:
    training = training_job(trial, work, ready)
    return dataclasses.replace(
        training,
        id=f"{trial.id}-{metric.id}",
        title=f"{metric.label} of {training.title}",
        kind="score",
        payload={**training.payload, "metric": dataclasses.asdict(metric)},
        log=work.log(f"{trial.id}-{metric.id}"),
        limit=SCORE_LIMIT,
    )
