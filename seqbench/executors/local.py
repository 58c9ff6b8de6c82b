"""Runs jobs on this machine: one process each, as many in parallel as there are cores."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from seqbench.devices.registry import device_for
from seqbench.errors import UsageError, WorkerError
from seqbench.executors.base import Job, Listener, Outcome, utc_now
from seqbench.executors.order import Queue
from seqbench.machine.limits import usable_cores, usable_memory
from seqbench.records import Status
from seqbench.workers.context import Workspace
from seqbench.workers.isolation import MANY_FILES
from seqbench.workers.messages import Assignment, payload_to_json
from seqbench.workers.process import WorkerProcess, interrupts_wait

#: With fewer file descriptors, workers cannot be started.
LEAST_FILES = 64

#: Seconds that a job past its time limit has to exit by itself.
GRACE = 1.0
#: Seconds between two looks at the time limits.
WAIT = 1.0
#: Memory limit of a process if the suite sets none, as a fraction of the machine's memory.
MEMORY_FRACTION = 0.9


class LocalExecutor:
    """The default executor.

    Args:
        cores: CPU threads that may be busy at once; default: all that this process may use.
    """

    def __init__(self, cores: int | None = None):
        self.cores = usable_cores() if cores is None else min(cores, usable_cores())
        self.memory = round(MEMORY_FRACTION * usable_memory())
        _allow_many_files()

    def run(
        self, jobs: Sequence[Job], workspace: Workspace, listener: Listener
    ) -> Iterator[Outcome]:
        """See :class:`seqbench.executors.base.Executor`."""
        waiting = Queue(jobs)
        running: list[_Running] = []
        killed: dict[str, list[Outcome]] = {}
        seen = time.monotonic()
        try:
            while waiting.jobs or running:
                for job in self._that_fit(waiting.jobs, running):
                    waiting.jobs.remove(job)
                    before = tuple(one.attempt for one in killed.get(job.id, ()))
                    try:
                        with interrupts_wait():
                            running.append(_Running(job, partial(self.open, workspace=workspace)))
                    except WorkerError as error:
                        yield Outcome(
                            job, "crashed", str(error), started=utc_now(), attempts=before
                        )
                    else:
                        listener.started(job)
                if running:
                    seen = _wait_for_messages(running, seen)
                for one, outcome in _ended(running, listener):
                    running.remove(one)
                    waiting.learn(outcome)
                    earlier = killed.setdefault(one.job.id, [])
                    if one.killed and len(earlier) < one.job.retries:
                        earlier.append(outcome)
                        waiting.jobs.insert(0, one.job)
                    else:
                        yield replace(outcome, attempts=tuple(each.attempt for each in earlier))
        finally:
            with interrupts_wait():  # a second one would leave the rest running
                for one in running:
                    one.worker.kill()

    def open(self, job: Job, workspace: Workspace) -> WorkerProcess:
        """See :class:`seqbench.executors.base.Executor`."""
        folders = workspace.absolute()
        assignment = Assignment(
            function=job.function,
            payload=payload_to_json(job.payload),
            workspace=folders,
            folder="",
            threads=job.threads,
            memory=self._memory_limit(job),
            keep_directory=job.keep_directory,
        )
        log = folders.run / job.log if job.log else Path(os.devnull)
        return WorkerProcess(assignment, log)

    def _memory_limit(self, job: Job) -> int | None:
        """No job may take more host memory than the machine has: it would stand still."""
        if job.memory is None and device_for(job.device).uses_host_memory:
            return self.memory
        return job.memory

    def _that_fit(self, waiting: Sequence[Job], running: Sequence[_Running]) -> list[Job]:
        """The next jobs for which enough cores, or their other device, are free.

        At least one job runs, however many threads it needs.
        """
        busy = sum(_cores(one.job) for one in running)
        devices = {one.job.device for one in running if not device_for(one.job.device).shares_cores}
        chosen: list[Job] = []
        for job in waiting:
            if job.device in devices:
                continue
            if (running or chosen) and busy + _cores(job) > self.cores:
                break
            busy += _cores(job)
            if not device_for(job.device).shares_cores:
                devices.add(job.device)
            chosen.append(job)
        return chosen


def _allow_many_files() -> None:
    """Raise the limit of file descriptors: each worker needs several; some systems allow 256.

    Raises:
        UsageError: too few are allowed to start workers.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(MANY_FILES, hard)
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed < LEAST_FILES:
        raise UsageError(
            f"this process may open only {allowed} files, too few to start workers: raise that "
            f"limit to at least {LEAST_FILES} (ulimit -n)"
        )


def _cores(job: Job) -> int:
    return job.threads if device_for(job.device).shares_cores else 1


class _Running:
    """A job and the worker that runs it."""

    def __init__(self, job: Job, start: Callable[[Job], WorkerProcess]):
        self.job = job
        self.started = utc_now()
        self.clock = time.monotonic()  # starting the worker counts
        self.deadline = None if job.limit is None else self.clock + job.limit
        self.killed = False
        self.worker = start(job)

    def poll(self, listener: Listener) -> Outcome | None:
        """Pass on the worker's messages; returns its outcome if it has ended."""
        try:
            gone = not self.worker.alive()  # first: its last messages may still be in the pipe
            until = (
                time.monotonic() + GRACE
            )  # a worker that never stops sending must not block the others
            while time.monotonic() < until:
                message = self.worker.receive(0)
                if "done" in message:
                    self.worker.close()
                    return self._outcome(**message["done"])
                listener.received(self.job, message)
            gone = False
        except TimeoutError:
            pass
        except ValueError as error:
            self.worker.kill()
            return self._outcome("crashed", str(error))
        except EOFError:
            gone = True
        if gone:
            ending = self.worker.ending()
            self.killed = self.worker.killed()
            return self._outcome("crashed", ending)
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
        return Outcome(
            self.job,
            status,
            reason,
            result=result or {},
            started=self.started,
            seconds=seconds,
            lines=lines,
        )


def _wait_for_messages(running: Sequence[_Running], before: float) -> float:
    """Wait until a worker sends a message or ends, or the next time limit is reached, for at most
    ``WAIT`` seconds; returns the time.

    If much more time has passed since the last call ended, everything was stopped (Ctrl-Z, ``docker
    pause``): time limits do not include that.

    Args:
        before: when the last call ended.
    """
    clock = time.monotonic()
    deadlines = [one.deadline for one in running if one.deadline is not None]
    seconds = min([WAIT, *(max(0.0, each - clock) for each in deadlines)])
    handles: list[Any] = [one.worker.channel for one in running]
    wait(handles + [one.worker.sentinel for one in running], timeout=seconds)
    now = time.monotonic()
    stopped = now - before - seconds
    if stopped > WAIT:
        for one in running:
            if one.deadline is not None:
                one.deadline += stopped
    return now


def _ended(running: Sequence[_Running], listener: Listener) -> Iterator[tuple[_Running, Outcome]]:
    """The running jobs that have ended, each with its outcome; passes on all messages."""
    for one in list(running):
        outcome = one.poll(listener)
        if outcome is not None:
            yield one, outcome
