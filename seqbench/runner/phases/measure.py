"""Measures every case that trained: cost and memory side by side, then latency."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqbench.executors.base import Job, Outcome
from seqbench.machine import other_runs
from seqbench.measure.latency.checkpoint import Checkpoint
from seqbench.plan.cases import Case
from seqbench.records import Measurement, TrialRecord
from seqbench.runner.context import RunContext, dataset_key, explained_reason
from seqbench.runner.phases.contests import entitled, latency_jobs, note_other_runs, time_cases
from seqbench.runner.phases.machine import MEASURE_LIMIT, check_machine
from seqbench.runner.resume.measurements import NEW, Ledger, Missing, fingerprints_of, job_key
from seqbench.training.data import cache_dir

MOST_NAMED = 3


class Measuring:
    """What is asked for of the cases that trained, and what of it an earlier attempt has left.

    Args:
        trained: records of the trials that ended well. Without ``weights_sha256``, such as are yet
            to be trained.
        ready: for each dataset the prepared file.
    """

    def __init__(
        self, work: RunContext, trained: Sequence[TrialRecord], ready: Mapping[str, Path | str]
    ):
        self._work, self.trained = work, trained
        weights: dict[str, list[str]] = {}
        digests: dict[str, list[str]] = {}
        for record in sorted(trained, key=lambda record: record.seed):
            path = str((work.folder.path / record.weights).absolute())
            weights.setdefault(record.case, []).append(path)
            digests.setdefault(record.case, []).append(record.weights_sha256)
        subjects = {
            case.id: {
                "id": case.id,
                "label": case.name,
                "model": dataclasses.asdict(case.model),
                "data": str(ready[dataset_key(case.dataset)]),
                "device": case.device,
                "weights": weights[case.id],
                "train": case.train,
            }
            for case in work.plan.cases
            if case.id in weights
        }
        cases = [case for case in work.plan.cases if case.id in subjects]
        self.static = _static_jobs(cases, subjects, work)
        self.contests = latency_jobs(cases, subjects, digests, work)
        self.ledgers = {
            case.id: Ledger(
                work, case.id, fingerprints_of(case.id, digests, self.static, self.contests)
            )
            for case in cases
        }

    def missing_static(self) -> list[Missing]:
        """Cost and memory."""
        found = []
        for job in self.static:
            why = self.ledgers[job.group].why(job_key(job))
            if why:
                found.append(Missing(job, "" if why == NEW else why))
        return found

    def missing_contests(self) -> list[Missing]:
        """Latency: where one case has to be timed, so have all that it is held against."""
        found = []
        for job in self.contests:
            cases = job.payload["cases"]
            whys = {case["label"]: self.ledgers[case["id"]].why(job.id) for case in cases}
            again = [f"{label} {why}" for label, why in whys.items() if why]
            if not again:
                met = {self.ledgers[case["id"]].met(job.id) for case in cases}
                if met == {self._work.folder.compared(job.log.stem)}:
                    continue
                again = ["how they compare is not known"]
            begun = Checkpoint.of(job.payload["unfinished"]).read()[1]
            if begun:
                why = f"going on after {begun} process{'es' * (begun != 1)}"
            elif set(whys.values()) == {NEW}:
                why = ""
            else:
                more = f", and {len(again) - MOST_NAMED} more" * (len(again) > MOST_NAMED)
                why = f"again: {', '.join(again[:MOST_NAMED])}{more}"
            found.append(Missing(job, why))
        return found


def measure_cases(
    work: RunContext, trained: Sequence[TrialRecord], ready: Mapping[str, Path | str]
) -> None:
    """Cost and memory side by side; then latency, with nothing else running."""
    asked = Measuring(work, trained, ready)
    ledgers = asked.ledgers
    for outcome in work.do("memory", [missing.job for missing in asked.missing_static()]):
        key = job_key(outcome.job)
        ledgers[outcome.job.group].enter(
            key, _measurements(outcome, explained_reason(outcome, work))
        )
    contests = [entitled(missing) for missing in asked.missing_contests()]
    if contests:
        with other_runs.timing(cache_dir()) as mark:
            note_other_runs(mark, work, anew=len(contests) == len(asked.contests))
            check_machine(work)
            time_cases(contests, ledgers, work)
            note_other_runs(mark, work)
    for ledger in ledgers.values():
        ledger.settle()
    work.folder.keep_contests(job.id for job in asked.contests)


def _static_jobs(
    cases: Sequence[Case], subjects: Mapping[str, Mapping[str, Any]], work: RunContext
) -> list[Job]:
    """Cost of every case and, if asked for, its memory in inference and in training."""
    memory, latency = work.plan.suite.measure.memory, work.plan.suite.measure.latency
    lengths = list(latency.seq_lens) if latency is not None else []
    jobs = []
    for case in cases:
        subject = {**subjects[case.id], "weights": subjects[case.id]["weights"][0]}
        payload = {**subject, "lengths": lengths}
        about: dict[str, Any] = {
            "log": work.log(f"{case.id}-memory"),
            "device": case.device,
            "group": case.id,
            "limit": MEASURE_LIMIT,
            "memory": work.plan.suite.limits.memory,
        }
        jobs.append(Job(f"{case.id}/cost", f"{case.name}: cost", "cost", payload, **about))
        for mode in ("inference", "training"):
            if memory is None:
                continue
            asked = {**payload, "batch_size": memory.batch_size, "mode": mode}
            name, title = f"{case.id}/memory/{mode}", f"{case.name}: memory in {mode}"
            jobs.append(Job(name, title, "memory", asked, **about))
    return jobs


def _measurements(outcome: Outcome, reason: str) -> list[Measurement]:
    if outcome.status == "ok":
        return [Measurement(**found) for found in outcome.result["measurements"]]
    unit = {"cost": "1", "memory": "B"}[outcome.job.kind]
    return [Measurement(outcome.job.kind, unit, status=outcome.status, reason=reason)]
