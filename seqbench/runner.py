"""Carries out a plan: trains all, then measures, and writes down each result as it comes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench import data
from seqbench.errors import StoreError
from seqbench.executors import Executor, Job, Listener, Outcome
from seqbench.records import (
    Case,
    CaseRecord,
    Choice,
    Comparison,
    Measurement,
    Trial,
    TrialRecord,
    fingerprint,
)
from seqbench.store import RunFolder

if TYPE_CHECKING:
    from seqbench.plan import Plan

#: Preparing a dataset may mean a download.
PREPARE_LIMIT = 3600.0
ENVIRONMENT_LIMIT = 120.0
MEASURE_LIMIT = 600.0
#: How long the machine is watched before latency is measured on it.
CHECK_SECONDS = 1.0
#: So many processes wait for their turn at most; more would cost memory and file descriptors.
MOST_PROCESSES = 60


@dataclass(frozen=True)
class Progress(Listener):
    """A listener that is told of phases and their outcomes as well."""

    phase: Callable[[str, Sequence[Job]], None] = lambda name, jobs: None
    ended: Callable[[Outcome], None] = lambda outcome: None


@dataclass(frozen=True)
class Work:
    """What the phases of a run share.

    Args:
        kept, measured: records of an earlier attempt at this run, by trial and by case; what they
            hold is not done again.
        earlier: records of those that are done again, by trial.
        retry_failed: whether measurements that did not end well are.
    """

    plan: Plan
    folder: RunFolder
    executor: Executor
    progress: Progress
    data_dir: Path | None
    available: Mapping[str, str]
    kept: Mapping[str, TrialRecord] = field(default_factory=dict)
    measured: Mapping[str, CaseRecord] = field(default_factory=dict)
    earlier: Mapping[str, TrialRecord] = field(default_factory=dict)
    retry_failed: bool = False

    def do(self, phase: str, jobs: Sequence[Job]) -> Iterable[Outcome]:
        if not jobs:
            return
        self.progress.phase(phase, jobs)
        self.folder.log(f"{phase}: {len(jobs)} to do")
        with closing(self.executor.run(jobs, self.progress)) as outcomes:  # type: ignore[type-var]
            for outcome in outcomes:
                self.progress.ended(outcome)
                took = f"{outcome.job.title}: {outcome.status} after {outcome.seconds:.1f} s"
                self.folder.log(f"{took}: {outcome.reason}" if outcome.reason else took)
                yield outcome

    def log(self, name: str) -> Path:
        return self.folder.path / "logs" / f"{name}.log"


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
    _measure(work, ready, trained)


def _prepare(work: Work) -> dict[str, Path | str]:
    """For each dataset (by its identity) the prepared file, or the reason why there is none."""
    found: dict[str, Path | str] = {}
    jobs = []
    labels = {_key(case.dataset): case.dataset_label for case in work.plan.cases}
    for dataset in _distinct(case.dataset for case in work.plan.cases):
        if data.is_prepared(dataset, data.cache_dir()):
            found[_key(dataset)] = data.prepared_path(dataset, data.cache_dir()).absolute()
            continue
        payload = {
            "dataset": dataclasses.asdict(dataset),
            "cache": str(data.cache_dir()),
            "data_dir": str(work.data_dir) if work.data_dir else None,
        }
        log = work.log(f"prepare-{Path(_key(dataset)).stem}")
        jobs.append(
            Job(_key(dataset), labels[_key(dataset)], "prepare", payload, log, limit=PREPARE_LIMIT)
        )
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
        explained = dataclasses.replace(outcome, reason=_reason(outcome, work))
        record = _record(trials[outcome.job.id], explained, work.earlier.get(outcome.job.id))
        work.folder.write_trial(record)
        if record.status == "ok":
            good.append(record)
    return good


def _cannot_run(trial: Trial, work: Work, ready: Mapping[str, Path | str]) -> TrialRecord | None:
    device = trial.case.device
    if device not in work.available:
        there = ", ".join(work.available)
        reason = f"this machine has no device {device!r} (it has: {there})"
        return TrialRecord(trial.id, trial.case.id, trial.seed, "skipped", reason)
    prepared = ready[_key(trial.case.dataset)]
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
        "data": str(ready[_key(case.dataset)]),
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
        lines=outcome.lines,
        attempts=(*_attempts(earlier), *outcome.attempts),
        log=f"logs/{trial.id}.log",
    )


def _reason(outcome: Outcome, work: Work) -> str:
    """Why a job did not end well, with the limit that it met and where that is set."""
    if outcome.status == "timeout" and outcome.job.kind == "train":
        return f"{outcome.reason} (limits.time)"
    if outcome.status == "out_of_memory" and outcome.job.device == "cpu":
        memory = outcome.job.memory or work.executor.memory
        return f"{outcome.reason} (limits.memory: {memory / 2**20:,.0f} MiB)"
    return outcome.reason


def _attempts(record: TrialRecord | None) -> tuple[Mapping[str, Any], ...]:
    """All attempts at a trial up to that record, the last included."""
    if record is None:
        return ()
    last = {name: getattr(record, name) for name in ("status", "reason", "seconds")}
    return (*record.attempts, last)


def _measure(work: Work, ready: Mapping[str, Path | str], trained: Sequence[TrialRecord]) -> None:
    """Cost and memory side by side; then latency, with nothing else running."""
    weights: dict[str, list[str]] = {}
    digests: dict[str, list[str]] = {}
    for record in sorted(trained, key=lambda record: record.seed):
        path = str((work.folder.path / record.weights).absolute())
        weights.setdefault(record.case, []).append(path)
        digests.setdefault(record.case, []).append(record.weights_sha256)
    subjects = {
        case.id: {
            "id": case.id,
            "label": case.label,
            "model": dataclasses.asdict(case.model),
            "data": str(ready[_key(case.dataset)]),
            "device": case.device,
            "weights": weights[case.id],
            "train": case.train,
        }
        for case in work.plan.cases
        if case.id in weights
    }
    cases = [case for case in work.plan.cases if case.id in subjects]
    static = _static_jobs(cases, subjects, work)
    contests = _latency_jobs(cases, subjects, digests, work)
    rivals = {job.id: [case["id"] for case in job.payload["cases"]] for job in contests}
    ledgers = {
        case.id: Ledger(work, case.id, _prints(case.id, digests, static, contests))
        for case in cases
    }
    missing = [job for job in static if not ledgers[job.group].has(_key_of(job))]
    for outcome in work.do("memory", missing):
        key = _key_of(outcome.job)
        ledgers[outcome.job.group].enter(key, _measurements(outcome, _reason(outcome, work)))
    done = {
        name
        for name, ids in rivals.items()
        if all(ledgers[case].has(name) for case in ids) and work.folder.has_comparisons(name)
    }
    missing = [job for job in contests if job.id not in done]
    if missing:
        _check_machine(work)
    for job in missing:
        for outcome in work.do("latency", [job]):  # one contest after the other: each alone
            compared = [Comparison(**one) for one in outcome.result["comparisons"]]
            work.folder.write_comparisons(job.log.stem, compared)
            for case_id, timings in outcome.result["cases"].items():
                ledgers[case_id].enter(job.id, [Measurement(**timing) for timing in timings])
    for ledger in ledgers.values():
        ledger.settle()
    work.folder.keep_contests(job.id for job in contests)


def _key_of(job: Job) -> str:
    """What a job about one case is called among those of the same case."""
    return job.id.partition("/")[2]


def _prints(
    case: str, digests: Mapping[str, Sequence[str]], static: Iterable[Job], contests: Iterable[Job]
) -> dict[str, str]:
    """Fingerprints of all that the figures of a case depend on, by the job that they come from.

    Of a contest also who takes part: figures of two contests have not met.
    """
    found = {
        _key_of(job): fingerprint([_portable(job.payload), digests[case][0]])
        for job in static
        if job.group == case
    }
    for job in contests:
        if any(rival["id"] == case for rival in job.payload["cases"]):
            found[job.id] = job.payload["unfinished"]["fingerprint"]
    return found


def _portable(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A payload without what changes no figure: names, and paths of where the run's folder is."""
    left_out = ("weights", "data", "label")
    return {key: value for key, value in payload.items() if key not in left_out}


class Ledger:
    """What was measured of one case so far, and from what; written down at every entry.

    What an earlier attempt at the run has left is done as far as it is asked for and rests on the
    same; what did not end well is not, where it is to be tried again. What is not done stands until
    something else takes its place.

    Args:
        prints: the jobs that are asked for, each with the fingerprint of what it rests on.
    """

    def __init__(self, work: Work, case: str, prints: Mapping[str, str]):
        self._folder, self._case, self._prints = work.folder, case, prints
        self._parts: dict[str, tuple[str, tuple[Measurement, ...]]] = {}
        self._done: set[str] = set()
        before = work.measured.get(case, CaseRecord(case))
        start = 0
        for job in before.jobs:
            part = before.measurements[start : start + job["n"]]
            start += job["n"]
            well = all(one.status == "ok" for one in part) or not work.retry_failed
            well &= all(map(work.folder.samples_are_sound, {one.samples for one in part} - {""}))
            self._parts[job["key"]] = job["fingerprint"], part
            if well and prints.get(job["key"]) == job["fingerprint"]:
                self._done.add(job["key"])

    def has(self, key: str) -> bool:
        """Whether that job is done."""
        return key in self._done

    def enter(self, key: str, found: Sequence[Measurement]) -> None:
        """Adds what came of a job."""
        self._parts[key] = self._prints[key], tuple(found)
        self._done.add(key)
        self._write()

    def settle(self) -> None:
        """All is done that is asked for: what else there is goes."""
        if self._parts.keys() != self._done:
            self._parts = {key: part for key, part in self._parts.items() if key in self._done}
            self._write()

    def _write(self) -> None:
        """In the order of the jobs, whichever ended first."""
        wanted = {key: self._parts[key] for key in self._prints if key in self._parts}
        parts = {**wanted, **self._parts}
        jobs = [
            {"key": key, "fingerprint": rests_on, "n": len(part)}
            for key, (rests_on, part) in parts.items()
        ]
        measurements = [one for _, part in parts.values() for one in part]
        self._folder.write_case(CaseRecord(self._case, tuple(measurements), tuple(jobs)))


def _check_machine(work: Work) -> None:
    """Notes beside the environment how fit the machine is to measure, just before it is used."""
    job = doctor_job(work.executor, work.log("doctor"), CHECK_SECONDS, after_training=True)
    for outcome in work.do("doctor", [job]):
        if outcome.status == "ok":
            found = {**work.folder.environment(), "doctor": dict(outcome.result)}
            work.folder.write_environment(found)


def doctor_job(executor: Executor, log: Path, seconds: float, *, after_training: bool) -> Job:
    """Looks at the machine for some seconds, with nothing else running."""
    payload = {"seconds": seconds, "after_training": after_training}
    threads = executor.cores
    return Job("doctor", "doctor", "doctor", payload, log, threads=threads, limit=MEASURE_LIMIT)


def _static_jobs(
    cases: Sequence[Case], subjects: Mapping[str, Mapping[str, Any]], work: Work
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


def _latency_jobs(
    cases: Sequence[Case],
    subjects: Mapping[str, Mapping[str, Any]],
    digests: Mapping[str, Sequence[str]],
    work: Work,
) -> list[Job]:
    """One contest per device, of as many cases as fit side by side. It occupies all cores, so that
    nothing runs beside it.
    """
    latency = work.plan.suite.measure.latency
    if latency is None:
        return []
    cores = work.executor.cores
    settings = latency.model_dump()
    settings["threads"] = _thread_counts(latency.threads, cores)
    settings["training_step"] = work.plan.suite.target is not None
    jobs = []
    for device in dict.fromkeys(case.device for case in cases):
        of_device = [case for case in cases if case.device == device]
        for first in range(0, len(of_device), MOST_PROCESSES):
            heat = of_device[first : first + MOST_PROCESSES]
            name = f"latency-{device.replace(':', '-')}" + (f"-{first}" if first else "")
            rests_on = fingerprint([settings, {case.id: digests[case.id] for case in heat}])
            payload = {
                "cases": [subjects[case.id] for case in heat],
                "settings": settings,
                "folder": str(work.folder.path.absolute()),
                "cores": cores,
                "limit": work.plan.suite.limits.time,
                "memory": work.plan.suite.limits.memory
                or (work.executor.memory if device == "cpu" else None),
                "unfinished": {
                    "path": str(work.folder.unfinished(name).absolute()),
                    "fingerprint": rests_on,
                    "retry_failed": work.retry_failed,
                },
            }
            title = f"{_count(heat)} taking turns on {device}"
            jobs.append(Job(name, title, "latency", payload, work.log(name), device, threads=cores))
    return jobs


def _thread_counts(asked: Iterable[int | str], cores: int) -> list[int]:
    return list(dict.fromkeys(cores if count == "all" else int(count) for count in asked))


def _count(cases: Sequence[Case]) -> str:
    return f"{len(cases)} case{'s' * (len(cases) != 1)}"


def _measurements(outcome: Outcome, reason: str) -> list[Measurement]:
    if outcome.status == "ok":
        return [Measurement(**found) for found in outcome.result["measurements"]]
    unit = {"cost": "1", "memory": "B"}[outcome.job.kind]
    return [Measurement(outcome.job.kind, unit, status=outcome.status, reason=reason)]


def _distinct(choices: Iterable[Choice]) -> list[Choice]:
    return list({_key(choice): choice for choice in choices}.values())


def _key(choice: Choice) -> str:
    """Names a dataset with its parameters within this run."""
    return data.prepared_path(choice, Path()).name


def _weights(trial_id: str) -> str:
    return f"weights/{trial_id}.safetensors"
