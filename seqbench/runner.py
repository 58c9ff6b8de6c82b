"""Carries out a plan: trains all, then measures, and writes down each result as it comes."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench import data
from seqbench.errors import StoreError
from seqbench.executors import Executor, Job, Listener, Outcome
from seqbench.measuring import Measuring, measure
from seqbench.records import Choice, Metric, Trial, TrialRecord
from seqbench.work import Work, dataset_key, reason_of

if TYPE_CHECKING:
    from seqbench.resume import Decision

#: Preparing a dataset may mean a download.
PREPARE_LIMIT = 3600.0
ENVIRONMENT_LIMIT = 120.0
#: Seconds for one metric of one trained model.
SCORE_LIMIT = 600.0


def environment(executor: Executor) -> dict[str, Any]:
    """The machine as a worker sees it, or ``{"error": reason}``."""
    nowhere = Path(os.devnull)
    job = Job("environment", "environment", "environment", {}, nowhere, limit=ENVIRONMENT_LIMIT)
    outcome = next(iter(executor.run([job], Listener())))
    return dict(outcome.result) if outcome.status == "ok" else {"error": outcome.reason}


def carry_out(work: Work) -> None:
    """Runs every trial of the plan and measures every case that trained.

    Results stand in ``work.folder`` the moment they are earned; nothing that goes wrong with one
    trial is an exception here.
    """
    ready = _prepare(work)
    trained = _train(work, ready)
    measure(work, trained, ready)
    _score(work, trained, ready)


def intended(work: Work, decisions: Iterable[Decision]) -> Measuring:
    """What is to be measured once every trial that is not kept has been trained."""
    trained = [record for record in work.kept.values() if record.status == "ok"]
    for decision in decisions:
        trial = decision.trial
        if trial.id not in work.kept and trial.case.device in work.available:
            trained.append(
                TrialRecord(
                    trial.id, trial.case.id, trial.seed, "ok", weights=_weights(trial.id),
                    weights_sha256=decision.comes_out,
                )
            )  # fmt: skip
    return Measuring(work, trained, {dataset_key(case.dataset): "" for case in work.plan.cases})


def _prepare(work: Work) -> dict[str, Path | str]:
    """For each dataset (by its identity) the prepared file, or the reason why there is none."""
    found: dict[str, Path | str] = {}
    jobs = []
    labels = {dataset_key(case.dataset): case.dataset_label for case in work.plan.cases}
    for dataset in _distinct(case.dataset for case in work.plan.cases):
        if data.is_prepared(dataset, data.cache_dir()):
            found[dataset_key(dataset)] = data.prepared_path(dataset, data.cache_dir()).absolute()
            continue
        payload = {
            "dataset": dataclasses.asdict(dataset),
            "cache": str(data.cache_dir()),
            "data_dir": str(work.data_dir) if work.data_dir else None,
        }
        key = dataset_key(dataset)
        log = work.log(f"prepare-{Path(key).stem}")
        jobs.append(Job(key, labels[key], "prepare", payload, log, limit=PREPARE_LIMIT))
    for outcome in work.do("prepare", jobs):
        ok = outcome.status == "ok"
        found[outcome.job.id] = Path(outcome.result["path"]).absolute() if ok else outcome.reason
    return found


def _train(work: Work, ready: Mapping[str, Path | str]) -> list[TrialRecord]:
    """Runs all trials; returns the records of those that ended well."""
    jobs, trials = [], {}
    good = [record for record in work.kept.values() if record.status == "ok"]
    for trial in work.plan.trials:
        if trial.id in work.kept:
            continue
        problem = _cannot_run(trial, work, ready)
        if problem is not None:
            work.folder.write_trial(problem)
            continue
        trials[trial.id] = trial
        jobs.append(_training_job(trial, work, ready))
    for outcome in work.do("train", jobs):
        if outcome.result.get("unwritten"):  # nothing more could be written down
            raise StoreError(outcome.reason)
        explained = dataclasses.replace(outcome, reason=reason_of(outcome, work))
        record = _record(trials[outcome.job.id], explained, work.earlier.get(outcome.job.id))
        work.folder.write_trial(record)
        if record.status == "ok":
            good.append(record)
    return good


def to_score(work: Work, trained: Iterable[TrialRecord]) -> list[tuple[TrialRecord, Metric]]:
    """The metrics of plugins that are yet to be asked about trained models."""
    return [
        (record, metric)
        for record in trained
        for metric in work.plan.metrics
        for score in [record.scores.get(metric.id)]
        if score is None or (score["status"] not in ("ok", "skipped") and work.retry_failed)
    ]


def _score(work: Work, trained: Sequence[TrialRecord], ready: Mapping[str, Path | str]) -> None:
    """Asks the metrics of plugins about each trained model. Each in a job of its own: whatever
    becomes of one, the trial and the other metrics stand.
    """
    records = {record.id: record for record in trained}
    trials = {trial.id: trial for trial in work.plan.trials}
    jobs, asked, impossible = [], {}, set()
    for record, metric in to_score(work, trained):
        trial = trials[record.id]
        problem = _cannot_run(trial, work, ready)
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
            reason = reason_of(outcome, work)
            score = {"status": outcome.status, "value": None, "reason": reason}
        scores = {**records[name].scores, metric.id: score}
        records[name] = dataclasses.replace(records[name], scores=scores)
        work.folder.write_trial(records[name])


def _scoring_job(trial: Trial, metric: Metric, work: Work, ready: Mapping[str, Path | str]) -> Job:
    training = _training_job(trial, work, ready)
    return dataclasses.replace(
        training,
        id=f"{trial.id}-{metric.id}",
        title=f"{metric.label} of {training.title}",
        kind="score",
        payload={**training.payload, "metric": dataclasses.asdict(metric)},
        log=work.log(f"{trial.id}-{metric.id}"),
        limit=SCORE_LIMIT,
    )


def _cannot_run(trial: Trial, work: Work, ready: Mapping[str, Path | str]) -> TrialRecord | None:
    device = trial.case.device
    if device not in work.available:
        there = ", ".join(work.available)
        reason = f"this machine has no device {device!r} (it has: {there})"
        return TrialRecord(trial.id, trial.case.id, trial.seed, "skipped", reason)
    prepared = ready[dataset_key(trial.case.dataset)]
    if isinstance(prepared, str):
        named = prepared.startswith("dataset ")
        reason = prepared if named else f"dataset {trial.case.dataset.name}: {prepared}"
        before = _attempts(work.earlier.get(trial.id))
        return TrialRecord(trial.id, trial.case.id, trial.seed, "failed", reason, attempts=before)
    return None


def _training_job(trial: Trial, work: Work, ready: Mapping[str, Path | str]) -> Job:
    case = trial.case
    payload = {
        "model": dataclasses.asdict(case.model),
        "train": case.train,
        "device": case.device,
        "seed": trial.seed,
        "data": str(ready[dataset_key(case.dataset)]),
        "weights": str((work.folder.path / _weights(trial.id)).absolute()),
    }
    return Job(
        trial.id,
        f"{case.name}, seed {trial.seed}",
        "train",
        payload,
        work.log(trial.id),
        device=case.device,
        group=case.id,
        threads=case.train["threads"],
        limit=work.plan.suite.limits.time,
        memory=work.plan.suite.limits.memory,
        retries=work.plan.suite.limits.retries,
    )


def _record(trial: Trial, outcome: Outcome, earlier: TrialRecord | None) -> TrialRecord:
    ok = outcome.status == "ok"
    result = outcome.result
    return TrialRecord(
        trial.id,
        trial.case.id,
        trial.seed,
        outcome.status,
        outcome.reason,
        metric=result.get("metric", ""),
        metrics=result["metrics"] if ok else dict(result),
        curve=tuple(result.get("curve", ())),
        started=outcome.started,
        seconds=outcome.seconds,
        weights=_weights(trial.id) if ok else "",
        weights_sha256=result.get("weights_sha256", "") if ok else "",
        weights_stamp=tuple(result.get("weights_stamp", ())) if ok else (),
        lines=outcome.lines,
        attempts=(*_attempts(earlier), *outcome.attempts),
        log=f"logs/{trial.id}.log",
        source=result.get("source", "") if ok else "",
        version=result.get("version", "") if ok else "",
    )


def _attempts(record: TrialRecord | None) -> tuple[Mapping[str, Any], ...]:
    """All attempts at a trial up to that record, the last included."""
    if record is None:
        return ()
    last = {name: getattr(record, name) for name in ("status", "reason", "seconds")}
    return (*record.attempts, last)


def _distinct(choices: Iterable[Choice]) -> list[Choice]:
    return list({dataset_key(choice): choice for choice in choices}.values())


def _weights(trial_id: str) -> str:
    return f"weights/{trial_id}.safetensors"
