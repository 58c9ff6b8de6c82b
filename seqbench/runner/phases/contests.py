"""Latency: which cases are timed together, one contest after the other."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seqbench.executors.base import Job, Listener, Outcome, utc_now
from seqbench.machine import other_runs
from seqbench.plan.cases import Case
from seqbench.records import Comparison, Measurement, fingerprint
from seqbench.runner.context import RunContext, count
from seqbench.runner.resume.measurements import Ledger, Missing


def contest_outcome(job: Job, listener: Listener) -> Outcome:
    """Referees the cases that take turns from this very process: they need all else to be still.

    It starts workers of its own, each watched with a time limit; the rest of it cannot hang.
    """
    from seqbench.measure.latency.contest import run_contest

    clock, started = time.monotonic(), utc_now()
    listener.started(job)
    result = run_contest(job.payload, lambda message: listener.told(job, message))
    return Outcome(job, "ok", "", result, started, time.monotonic() - clock)


#: So many processes wait for their turn at most; more would cost memory and file descriptors.
MOST_PROCESSES = 60


def note_other_runs(mark: other_runs.Mark, work: RunContext, *, anew: bool = False) -> None:
    """Says, and keeps beside the environment, that another run was timing at the same time.

    Args:
        anew: whether nothing is left of what was timed before.
    """
    known = work.folder.environment()
    before = bool(known.get("disturbed")) and not anew
    if mark.others() and not before:
        work.folder.log(other_runs.WARNING)
        warnings.warn(other_runs.WARNING, stacklevel=2)
    work.folder.write_environment({**known, "disturbed": before or mark.others()})


def time_cases(contests: Iterable[Job], ledgers: Mapping[str, Ledger], work: RunContext) -> None:
    for job in contests:
        for outcome in work.do("latency", [job]):  # one contest after the other: each alone
            met = outcome.result["met"]
            for case_id, timings in outcome.result["cases"].items():
                found = [Measurement(**timing) for timing in timings]
                ledgers[case_id].enter(job.id, found, met=met)
            # Last: until all of it is written, the contest counts as not made.
            compared = [Comparison(**one) for one in outcome.result["comparisons"]]
            work.folder.write_comparisons(job.log.stem, met, compared)


def entitled(missing: Missing) -> Job:
    """The job, whose title says why it is done (again)."""
    if not missing.why:
        return missing.job
    return dataclasses.replace(missing.job, title=f"{missing.job.title} ({missing.why})")


def latency_jobs(
    cases: Sequence[Case],
    subjects: Mapping[str, Mapping[str, Any]],
    digests: Mapping[str, Sequence[str]],
    work: RunContext,
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
