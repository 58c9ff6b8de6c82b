"""Runs jobs on this machine: one process each, as many at once as there are cores."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from seqbench import system
from seqbench.errors import WorkerError
from seqbench.executors import Job, Listener, Outcome
from seqbench.process import WorkerProcess, interrupts_wait
from seqbench.records import Status

#: Seconds that a job past its limit has to end by itself.
GRACE = 1.0
#: Of the machine's memory, what one process may take where the suite sets no limit.
MEMORY_SHARE = 0.9
MANY_FILES = 4096


class LocalExecutor:
    """The default executor.

    Args:
        cores: CPU threads that may be busy at once; by default those this process may use.
    """

    def __init__(self, cores: int | None = None):
        self.cores = cores or usable_cores()
        self.memory = round(MEMORY_SHARE * usable_memory())
        _allow_many_files()

    def run(self, jobs: Sequence[Job], listener: Listener) -> Iterator[Outcome]:
        """See :class:`seqbench.executors.Executor`."""
        for job in jobs:
            if job.kind == "latency":
                yield _contest(job, listener)
        waiting = _Queue([job for job in jobs if job.kind != "latency"])
        running: list[_Running] = []
        lost: dict[str, list[Outcome]] = {}
        try:
            while waiting.jobs or running:
                for job in self._that_fit(waiting.jobs, running):
                    waiting.jobs.remove(job)
                    try:
                        with interrupts_wait():
                            running.append(_Running(self._bounded(job)))
                    except WorkerError as error:
                        attempts = tuple(map(_attempt, lost.get(job.id, ())))
                        yield Outcome(job, "crashed", str(error), started=_now(), attempts=attempts)
                    else:
                        listener.started(job)
                if running:
                    _wait_for_news(running)
                for one in list(running):
                    outcome = one.news(listener)
                    if outcome is None:
                        continue
                    running.remove(one)
                    waiting.heed(outcome)
                    before = lost.setdefault(one.job.id, [])
                    if one.killed and len(before) < one.job.retries:
                        before.append(outcome)
                        waiting.jobs.insert(0, one.job)
                    else:
                        yield replace(outcome, attempts=tuple(map(_attempt, before)))
        finally:
            with interrupts_wait():  # a second one would leave those after it running
                for one in running:
                    one.worker.kill()

    def _bounded(self, job: Job) -> Job:
        """Nothing on the CPU may take more memory than the machine has: it would stand still."""
        if job.memory is None and job.device == "cpu":
            return replace(job, memory=self.memory)
        return job

    def _that_fit(self, waiting: list[Job], running: list[_Running]) -> list[Job]:
        """The next jobs for which there are cores free, or, on another device, that device.

        At least one job runs, however many threads it asks for.
        """
        busy = sum(_cores(one.job) for one in running)
        devices = {one.job.device for one in running if one.job.device != "cpu"}
        chosen: list[Job] = []
        for job in waiting:
            if job.device in devices:
                continue
            if (running or chosen) and busy + _cores(job) > self.cores:
                break
            busy += _cores(job)
            if job.device != "cpu":
                devices.add(job.device)
            chosen.append(job)
        return chosen


class _Queue:
    """Jobs in the order in which they are to start: the first of every group, then the second of
    every group, and so on, so that of every case something can be seen early. Among those of one
    turn the ones that will take longest come first, so that no core waits for one at the end;
    and last those of which that is not known: they may hang.
    """

    def __init__(self, jobs: Sequence[Job]):
        self.jobs = list(jobs)
        self._turns: dict[str, int] = {}
        self._took: dict[str, float] = {}
        groups: dict[str, int] = {}
        for job in jobs:
            self._turns[job.id] = groups[job.group] = groups.get(job.group, -1) + 1
        self._sort()

    def heed(self, outcome: Outcome) -> None:
        """Others of that group will take as long."""
        if outcome.status == "ok":
            self._took[outcome.job.group] = outcome.seconds
            self._sort()

    def _sort(self) -> None:
        took = self._took
        self.jobs.sort(key=lambda job: (self._turns[job.id], -took.get(job.group, 0.0)))


def usable_cores() -> int:
    """CPU cores that this process may use: affinity and cgroup quota count, not just hardware."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def _allow_many_files() -> None:
    """Each worker takes a handful of file descriptors; some systems allow 256 unless asked."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        wanted = MANY_FILES if most == resource.RLIM_INFINITY else min(MANY_FILES, most)
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def usable_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its control group's."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = system.limits(Path("/"))
    return min(memory, limits.memory_bytes) if limits and limits.memory_bytes else memory


def _contest(job: Job, listener: Listener) -> Outcome:
    """Referees the cases that take turns from this very process: they need all else to be still.

    It starts workers of its own, each watched with a time limit; the rest of it cannot hang.
    """
    from seqbench.measure import turns

    clock, started = time.monotonic(), _now()
    listener.started(job)
    result = turns.measure(job.payload, lambda message: listener.told(job, message))
    return Outcome(job, "ok", "", result, started, time.monotonic() - clock)


def _attempt(outcome: Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in ("status", "reason", "seconds")}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _cores(job: Job) -> int:
    return job.threads if job.device == "cpu" else 1


def _wait_for_news(running: list[_Running]) -> None:
    """Until a worker says something or ends, or the next time limit is reached."""
    deadlines = [one.deadline for one in running if one.deadline is not None]
    seconds = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
    handles: list[Any] = [one.worker.channel for one in running]
    wait(handles + [one.worker.sentinel for one in running], timeout=seconds)


class _Running:
    def __init__(self, job: Job):
        self.job = job
        self.started = _now()
        self.clock = time.monotonic()
        self.deadline = None if job.limit is None else self.clock + job.limit
        self.killed = False
        self.worker = WorkerProcess(
            {"kind": job.kind, "threads": job.threads, "memory": job.memory, **job.payload}, job.log
        )

    def news(self, listener: Listener) -> Outcome | None:
        """Passes on what the worker said; its outcome if it has come to an end."""
        try:
            gone = not self.worker.alive()  # asked first: its last words may still be in the pipe
            until = time.monotonic() + GRACE  # of one that never falls silent, no more at once
            while time.monotonic() < until:
                message = self.worker.receive(0)
                if "done" in message:
                    self.worker.close()
                    return self._outcome(**message["done"])
                listener.told(self.job, message)
            gone = False
        except TimeoutError:
            pass
        except ValueError as error:
            self.worker.kill()
            return self._outcome("crashed", str(error))
        except EOFError:
            gone = True
        if gone:
            self.worker.close()
            self.killed = self.worker.killed()
            return self._outcome("crashed", self.worker.ending())
        if self._late():
            self.worker.kill(GRACE)
            return self._outcome("timeout", f"not finished after {self.job.limit:g} s")
        return None

    def _late(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    def _outcome(
        self, status: Status, reason: str = "", result: Mapping[str, Any] | None = None
    ) -> Outcome:
        seconds = time.monotonic() - self.clock
        lines = () if status == "ok" else tuple(self.worker.last_lines())
        return Outcome(self.job, status, reason, result or {}, self.started, seconds, lines)
