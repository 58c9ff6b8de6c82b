"""Computes the metrics of plugins on the trained models."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from typing import cast

from seqbench.executors.base import Job
from seqbench.measure.payloads import MetricPayload, TrainedModel
from seqbench.plan.cases import Metric, Trial
from seqbench.records import Score, TrialRecord
from seqbench.runner.context import RunContext, reason_with_limit
from seqbench.runner.phases.prepare import Datasets, do_with_datasets
from seqbench.runner.phases.train import log_file, training_job, why_not_run

#: Time limit in seconds for one metric of one trained model.
SCORE_LIMIT = 600.0


def to_score(run: RunContext, trained: Iterable[TrialRecord]) -> list[tuple[TrialRecord, Metric]]:
    """The missing metrics, each with its trial."""
    asked = {case.id: run.plan.metrics_of(case) for case in run.plan.cases}
    return [
        (record, metric)
        for record in trained
        for metric in asked[record.case]
        for score in [record.scores.get(metric.id)]
        if score is None or (score["status"] not in ("ok", "skipped") and run.retry_failed)
    ]


def score_trials(run: RunContext, trained: Sequence[TrialRecord], datasets: Datasets) -> None:
    """Compute each metric of each trained model in a separate job, so that a failure affects
    neither the trial nor the other metrics.
    """
    records = {record.id: record for record in trained}
    trials = {trial.id: trial for trial in run.plan.trials}
    jobs, requested, impossible = [], {}, set()
    for record, metric in to_score(run, trained):
        trial = trials[record.id]
        problem = why_not_run(trial, run, datasets)
        if problem is not None:
            impossible.add(problem.reason)
            continue
        job = _scoring_job(trial, metric, record, run)
        jobs.append(job)
        requested[job.id] = (record.id, metric)
    for reason in sorted(impossible):  # not recorded: a resume may succeed
        warnings.warn(f"not all metrics could be computed: {reason}", stacklevel=2)
    for outcome in do_with_datasets(run, "score", jobs):
        name, metric = requested[outcome.job.id]
        score = outcome.result
        if outcome.status != "ok":
            reason = reason_with_limit(outcome, run)
            score = {"status": outcome.status, "value": None, "reason": reason}
        scores = {**records[name].scores, metric.id: cast("Score", score)}
        records[name] = dataclasses.replace(records[name], scores=scores)
        run.folder.write_trial(records[name])


def _scoring_job(trial: Trial, metric: Metric, record: TrialRecord, run: RunContext) -> Job:
    name, subject = f"{trial.id}-{metric.id}", TrainedModel.of(trial.case, record)
    # An estimator is fitted again before it is scored.
    again = run.plan.suite.limits.time if trial.case.model.is_estimator else 0.0
    training = training_job(trial, run)
    return dataclasses.replace(
        training,
        id=name,
        title=f"{metric.label} of {training.title}",
        function="seqbench.measure.metrics:score_model",
        payload=MetricPayload(subject, metric),
        log=log_file(name),
        limit=SCORE_LIMIT + again,
    )
