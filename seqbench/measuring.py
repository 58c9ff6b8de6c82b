"""Measures every case that trained: cost and memory side by side, then latency."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqbench import alone
from seqbench.data import cache_dir
from seqbench.executors import Executor, Job, Outcome
from seqbench.measure.unfinished import Unfinished
from seqbench.records import Case, CaseRecord, Comparison, Measurement, TrialRecord, fingerprint
from seqbench.work import Work, count, dataset_key, reason_of

MEASURE_LIMIT = 600.0
#: How long the machine is watched before latency is measured on it.
CHECK_SECONDS = 1.0
#: So many processes wait for their turn at most; more would cost memory and file descriptors.
MOST_PROCESSES = 60
#: Why a measurement is to be made that no attempt at the run has made yet.
NEW = "is not measured yet"
MOST_NAMED = 3


@dataclass(frozen=True)
class Missing:
    """A measurement that is to be made, and why, where an earlier attempt at the run has been here:
    ``""`` if it has not.
    """

    job: Job
    why: str


class Measuring:
    """What is asked for of the cases that trained, and what of it an earlier attempt has left.

    Args:
        trained: records of the trials that ended well. Without ``weights_sha256``, such as are yet
            to be trained.
        ready: for each dataset the prepared file.
    """

    def __init__(self, work: Work, trained: Sequence[TrialRecord], ready: Mapping[str, Path | str]):
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
        self.contests = _latency_jobs(cases, subjects, digests, work)
        self.ledgers = {
            case.id: Ledger(work, case.id, _prints(case.id, digests, self.static, self.contests))
            for case in cases
        }

    def missing_static(self) -> list[Missing]:
        """Cost and memory."""
        found = []
        for job in self.static:
            why = self.ledgers[job.group].why(_key_of(job))
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
            begun = Unfinished.of(job.payload["unfinished"]).read()[1]
            if begun:
                why = f"going on after {begun} process{'es' * (begun != 1)}"
            elif set(whys.values()) == {NEW}:
                why = ""
            else:
                more = f", and {len(again) - MOST_NAMED} more" * (len(again) > MOST_NAMED)
                why = f"again: {', '.join(again[:MOST_NAMED])}{more}"
            found.append(Missing(job, why))
        return found


def measure(work: Work, trained: Sequence[TrialRecord], ready: Mapping[str, Path | str]) -> None:
    """Cost and memory side by side; then latency, with nothing else running."""
    asked = Measuring(work, trained, ready)
    ledgers = asked.ledgers
    for outcome in work.do("memory", [missing.job for missing in asked.missing_static()]):
        key = _key_of(outcome.job)
        ledgers[outcome.job.group].enter(key, _measurements(outcome, reason_of(outcome, work)))
    contests = [_entitled(missing) for missing in asked.missing_contests()]
    if contests:
        with alone.timing(cache_dir()) as mark:
            _note_others(mark, work, anew=len(contests) == len(asked.contests))
            _check_machine(work)
            _time(contests, ledgers, work)
            _note_others(mark, work)
    for ledger in ledgers.values():
        ledger.settle()
    work.folder.keep_contests(job.id for job in asked.contests)


def _note_others(mark: alone.Mark, work: Work, *, anew: bool = False) -> None:
    """Says, and keeps beside the environment, that another run was timing at the same time.

    Args:
        anew: whether nothing is left of what was timed before.
    """
    known = work.folder.environment()
    before = bool(known.get("disturbed")) and not anew
    if mark.others() and not before:
        work.folder.log(alone.WARNING)
        warnings.warn(alone.WARNING, stacklevel=2)
    work.folder.write_environment({**known, "disturbed": before or mark.others()})


def _time(contests: Iterable[Job], ledgers: Mapping[str, Ledger], work: Work) -> None:
    for job in contests:
        for outcome in work.do("latency", [job]):  # one contest after the other: each alone
            met = outcome.result["met"]
            for case_id, timings in outcome.result["cases"].items():
                found = [Measurement(**timing) for timing in timings]
                ledgers[case_id].enter(job.id, found, met=met)
            # Last: until all of it is written, the contest counts as not made.
            compared = [Comparison(**one) for one in outcome.result["comparisons"]]
            work.folder.write_comparisons(job.log.stem, met, compared)


def _entitled(missing: Missing) -> Job:
    """The job, whose title says why it is done (again)."""
    if not missing.why:
        return missing.job
    return dataclasses.replace(missing.job, title=f"{missing.job.title} ({missing.why})")


def _key_of(job: Job) -> str:
    """What a job about one case is called among those of the same case."""
    return job.id.partition("/")[2]


def _prints(
    case: str, digests: Mapping[str, Sequence[str]], static: Iterable[Job], contests: Iterable[Job]
) -> dict[str, str]:
    """Fingerprints of all that the figures of a case depend on, by the job that they come from."""
    found = {
        _key_of(job): fingerprint([_portable(job.payload), digests[case][0]])
        for job in static
        if job.group == case
    }
    for job in contests:
        if any(rival["id"] == case for rival in job.payload["cases"]):
            found[job.id] = fingerprint([job.payload["settings"], digests[case]])
    return found


def _portable(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A payload without what changes no figure: names, and paths of where the run's folder is."""
    left_out = ("weights", "data", "label")
    return {key: value for key, value in payload.items() if key not in left_out}


@dataclass(frozen=True)
class _Part:
    """What came of one job: the fingerprint of what it rests on, the contest in which its figures
    met those of others (``""`` where it is none), and the measurements.
    """

    fingerprint: str
    met: str
    measurements: tuple[Measurement, ...]


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
        self._parts: dict[str, _Part] = {}
        self._why = dict.fromkeys(prints, NEW)
        before = work.measured.get(case, CaseRecord(case))
        start = 0
        for job in before.jobs:
            key, found = job["key"], before.measurements[start : start + job["n"]]
            start += job["n"]
            self._parts[key] = _Part(job["fingerprint"], job.get("met", ""), found)
            if key in prints:
                self._why[key] = self._why_again(key, work.retry_failed)

    def _why_again(self, key: str, retry_failed: bool) -> str:
        part = self._parts[key]
        if part.fingerprint != self._prints[key]:
            return "is of other weights or settings now"
        if retry_failed and any(one.status != "ok" for one in part.measurements):
            return "did not end well"
        samples = {one.samples for one in part.measurements} - {""}
        sound = [self._folder.samples_are_sound(name, part.met) for name in sorted(samples)]
        if not all(sound):
            return "has lost its samples"
        return ""

    def why(self, key: str) -> str:
        """Why that job is to be done, in words that follow the name of the case; ``""`` if it is
        done.
        """
        return self._why[key]

    def met(self, key: str) -> str:
        """Which contest it was."""
        return self._parts[key].met

    def enter(self, key: str, found: Sequence[Measurement], met: str = "") -> None:
        """Adds what came of a job."""
        self._parts[key] = _Part(self._prints[key], met, tuple(found))
        self._why[key] = ""
        self._write()

    def settle(self) -> None:
        """All is done that is asked for: what else there is goes."""
        kept = {key: part for key, part in self._parts.items() if self._why.get(key) == ""}
        if kept.keys() != self._parts.keys():
            self._parts = kept
            self._write()

    def _write(self) -> None:
        """In the order of the jobs, whichever ended first."""
        wanted = {key: self._parts[key] for key in self._prints if key in self._parts}
        parts = {**wanted, **self._parts}
        jobs = [
            {"key": key, "fingerprint": part.fingerprint, "met": part.met,
             "n": len(part.measurements)}
            for key, part in parts.items()
        ]  # fmt: skip
        measurements = [one for part in parts.values() for one in part.measurements]
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
            title = f"{count(heat, 'case')} taking turns on {device}"
            jobs.append(Job(name, title, "latency", payload, work.log(name), device, threads=cores))
    return jobs


def _thread_counts(asked: Iterable[int | str], cores: int) -> list[int]:
    return list(dict.fromkeys(cores if count == "all" else int(count) for count in asked))


def _measurements(outcome: Outcome, reason: str) -> list[Measurement]:
    if outcome.status == "ok":
        return [Measurement(**found) for found in outcome.result["measurements"]]
    unit = {"cost": "1", "memory": "B"}[outcome.job.kind]
    return [Measurement(outcome.job.kind, unit, status=outcome.status, reason=reason)]
