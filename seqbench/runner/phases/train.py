"""Trains every trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqbench.errors import StoreError
from seqbench.executors.base import Job, Outcome
from seqbench.plan.cases import Trial
from seqbench.records import TrialRecord
from seqbench.runner.context import RunContext, dataset_key, explained_reason


def train_trials(work: RunContext, ready: Mapping[str, Path | str]) -> list[TrialRecord]:
    """Runs all trials; returns the records of those that ended well."""
    jobs, trials = [], {}
    good = [record for record in work.kept.values() if record.status == "ok"]
    for trial in work.plan.trials:
        if trial.id in work.kept:
            continue
        problem = why_not_run(trial, work, ready)
        if problem is not None:
            work.folder.write_trial(problem)
            continue
        trials[trial.id] = trial
        jobs.append(training_job(trial, work, ready))
    for outcome in work.do("train", jobs):
        if outcome.result.get("unwritten"):  # nothing more could be written down
            raise StoreError(outcome.reason)
        explained = dataclasses.replace(outcome, reason=explained_reason(outcome, work))
        record = _record(trials[outcome.job.id], explained, work.earlier.get(outcome.job.id))
        work.folder.write_trial(record)
        if record.status == "ok":
            good.append(record)
    return good


def why_not_run(
    trial: Trial, work: RunContext, ready: Mapping[str, Path | str]
) -> TrialRecord | None:
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


def training_job(trial: Trial, work: RunContext, ready: Mapping[str, Path | str]) -> Job:
    case = trial.case
    payload = {
        "model": dataclasses.asdict(case.model),
        "train": case.train,
        "device": case.device,
        "seed": trial.seed,
        "data": str(ready[dataset_key(case.dataset)]),
        "weights": str((work.folder.path / weights_file(trial.id)).absolute()),
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
        weights=weights_file(trial.id) if ok else "",
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


def weights_file(trial_id: str) -> str:
    return f"weights/{trial_id}.safetensors"
