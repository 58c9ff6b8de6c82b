"""Trains every trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from seqbench.devices.registry import no_device
from seqbench.errors import StoreError
from seqbench.executors.base import Job, Outcome
from seqbench.plan.cases import Trial
from seqbench.records import Attempt, KeptAnswers, Metrics, TrialRecord
from seqbench.runner.context import RunContext, reason_with_limit
from seqbench.runner.phases.answers import AnswerLimit
from seqbench.runner.phases.prepare import Datasets, do_with_datasets
from seqbench.store.run_folder import checkpoint_file
from seqbench.training.data import prepared_file
from seqbench.training.job import TrainPayload

#: A trial with another status may continue from its checkpoint if it is tried again.
ENDED = ("ok", "diverged", "failed")


#: What a trial's job runs.
TRAIN, FIT = "seqbench.training.job:train", "seqbench.training.fitting:fit"


def train_trials(run: RunContext, datasets: Datasets) -> list[TrialRecord]:
    """Train the trials that are not done yet; returns the records of all successful trials."""
    possible = []
    for trial in run.plan.trials:
        if trial.id in run.earlier.kept:
            continue
        problem = why_not_run(trial, run, datasets)
        if problem is not None:
            run.folder.write_trial(problem)
            continue
        possible.append(trial)
    kept = [record for record in run.earlier.kept.values() if record.status == "ok"]
    return train_these(possible, run, kept)


def train_these(
    possible: Iterable[Trial],
    run: RunContext,
    others: Iterable[TrialRecord],
    *,
    replaced: Mapping[str, TrialRecord] | None = None,
) -> list[TrialRecord]:
    """Train some trials; returns the records of those that succeed, after ``others``.

    Args:
        replaced: records by trial that are only replaced by those of successful trials.
    """
    trials = {trial.id: trial for trial in possible}
    limit = AnswerLimit.of(run)
    jobs = [training_job(trial, run, limit.file(trial.id)) for trial in trials.values()]
    if over := [trial.id for trial in trials.values() if limit.why_not(trial.id)]:
        run.folder.log(f"test answers not kept: {limit.reason}: {', '.join(over)}")
    good = list(others)
    for outcome in do_with_datasets(run, "train", jobs):
        if outcome.result.get("unwritten"):  # the results folder is not writable
            raise StoreError(outcome.reason)
        explained = dataclasses.replace(outcome, reason=_reason(outcome, run))
        record = _record(trials[outcome.job.id], explained, run, limit)
        before = (replaced or {}).get(record.id)
        if before is not None and record.status != "ok":
            run.warn(f"{record.id}: not trained again: {record.status}: {record.reason}")
            good.append(before)
            continue
        if before is not None:
            record = dataclasses.replace(record, attempts=(*before.attempts, *record.attempts))
        run.folder.write_trial(record)
        if record.status in ENDED:
            run.folder.delete_checkpoint(record.id)
        if record.status == "ok":
            good.append(record)
    _warn_of_other_data(good, run)
    return good


def _warn_of_other_data(trained: Sequence[TrialRecord], run: RunContext) -> None:
    """Warn if trials of one dataset had different test data: it was prepared more than once, and
    its plugin does not give the same data every time.
    """
    datasets = {trial.id: trial.case.dataset for trial in run.plan.trials}
    inputs: dict[str, set[str]] = {}
    for record in trained:
        if record.answers is not None and record.id in datasets:
            file = prepared_file(datasets[record.id])
            inputs.setdefault(file, set()).add(record.answers["inputs"])
    names = {prepared_file(choice): choice.name for choice in datasets.values()}
    for name in sorted(names[file] for file, found in inputs.items() if len(found) > 1):
        line = (
            f"trials of dataset {name!r} had different data: it was prepared more than once, and "
            "its plugin gave other data each time; their figures are not comparable"
        )
        run.warn(line)


def why_not_run(trial: Trial, run: RunContext, datasets: Datasets) -> TrialRecord | None:
    """The record of a trial that cannot run; None if it can."""
    device = trial.case.device
    if device not in run.available:
        reason = no_device(device, run.available)
        return TrialRecord(trial.id, trial.case.id, trial.seed, "skipped", reason)
    misfit = datasets.misfit(trial.case)
    problem = datasets.problem(trial.case.dataset) or datasets.wrong_declaration(trial.case)
    if misfit and not problem:
        return TrialRecord(trial.id, trial.case.id, trial.seed, "skipped", misfit)
    if trial.case.no_width and not problem:
        return _without_width(trial)
    if problem:
        before = _attempts(run.earlier.replaced.get(trial.id))
        return TrialRecord(trial.id, trial.case.id, trial.seed, "failed", problem, attempts=before)
    return None


def _without_width(trial: Trial) -> TrialRecord:
    """The record of a trial whose model has no width, since none gives it the wanted size."""
    matching = trial.case.matching
    assert matching is not None
    assert matching.found is not None
    status, reason = matching.found.status, matching.found.reason
    return TrialRecord(trial.id, trial.case.id, trial.seed, status, reason)


def training_job(trial: Trial, run: RunContext, answers: str = "") -> Job:
    """The job that trains a trial; ``answers`` as in its payload."""
    case, limits = trial.case, run.plan.suite.limits
    every = run.plan.suite.train.checkpoint
    payload = TrainPayload(
        model=case.model,
        data=prepared_file(case.dataset),
        train=case.train,
        device=case.device,
        seed=trial.seed,
        weights=weights_of(trial),
        answers=answers,
        checkpoint="" if every is None or case.model.is_estimator else checkpoint_file(trial.id),
        checkpoint_every=every or 0.0,
        primary_metric=case.primary_metric,
    )
    return Job(
        trial.id,
        f"{case.name}, seed {trial.seed}",
        FIT if case.model.is_estimator else TRAIN,
        payload,
        log=log_file(trial.id),
        device=case.device,
        group=case.id,
        threads=case.train["threads"],
        limit=limits.time,
        memory=limits.memory,
        retries=limits.retries,
    )


def weights_of(trial: Trial) -> str:
    """The weights of a trial, in the run's folder; "" for an estimator, which has none."""
    return "" if trial.case.model.is_estimator else f"weights/{trial.id}.safetensors"


def log_file(trial: str) -> str:
    """The log of a trial, in the run's folder."""
    return f"logs/{trial}.log"


def _reason(outcome: Outcome, run: RunContext) -> str:
    if outcome.status == "timeout":
        return f"{outcome.reason} (limits.time)"
    return reason_with_limit(outcome, run)


def _record(trial: Trial, outcome: Outcome, run: RunContext, limit: AnswerLimit) -> TrialRecord:
    ok = outcome.status == "ok"
    result = outcome.result
    attempts = [
        Attempt(status=one.status, reason=one.reason, seconds=one.seconds)
        for one in outcome.attempts
    ]
    return TrialRecord(
        trial.id,
        trial.case.id,
        trial.seed,
        outcome.status,
        outcome.reason,
        metric=result.get("metric", ""),
        metric_about=result.get("metric_about"),
        metrics=cast("Metrics", _metrics(outcome)),
        curve=tuple(result.get("curve", ())),
        started=outcome.started,
        seconds=outcome.seconds,
        weights=weights_of(trial) if ok else "",
        initial=result.get("initial", "") if ok else "",
        weights_sha256=result.get("weights_sha256", "") if ok else "",
        weights_stamp=tuple(result.get("weights_stamp", ())) if ok else (),
        answers=result.get("answers") if ok else None,
        ahead_unknown=result.get("ahead_unknown", "") if ok else "",
        padding_changes=result.get("padding_changes", 0.0) if ok else 0.0,
        padding_unknown=result.get("padding_unknown", "") if ok else "",
        kept_answers=_kept_answers(trial, outcome, limit) if ok else None,
        lines=outcome.lines,
        attempts=(*_attempts(run.earlier.replaced.get(trial.id)), *attempts),
        log=log_file(trial.id),
        source=result.get("source", "") if ok else "",
        version=result.get("version", "") if ok else "",
        data=result.get("data") if ok else None,
        form=result.get("form", "") if ok else "",
    )


def _kept_answers(trial: Trial, outcome: Outcome, limit: AnswerLimit) -> KeptAnswers | None:
    """Where the answers of a trained model are, or why they are not kept."""
    file, sha256 = limit.file(trial.id), outcome.result.get("answers_sha256", "")
    why = limit.why_not(trial.id)
    return KeptAnswers(file=file, sha256=sha256, reason=why) if file or why else None


def _metrics(outcome: Outcome) -> dict[str, Any]:
    """What a trial reports: its metrics, or the step at which it diverged."""
    if outcome.status == "ok":
        return dict(outcome.result["metrics"])
    return dict(outcome.result) if outcome.status == "diverged" else {}


def _attempts(record: TrialRecord | None) -> tuple[Attempt, ...]:
    """All attempts at a trial up to and including the one of this record."""
    if record is None:
        return ()
    last = Attempt(status=record.status, reason=record.reason, seconds=record.seconds)
    return (*record.attempts, last)
