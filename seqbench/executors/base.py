"""The contract of an executor: it runs jobs, and opens workers that answer requests.

It treats all jobs alike. To add an executor, add a file beside ``local.py`` and a line in
``registry.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from seqbench.records import Status
from seqbench.workers.context import Workspace
from seqbench.workers.conversation import Conversation


class Activity(Protocol):
    """Something that runs, as a display shows it.

    ``id`` is unique in the run; ``title`` is for the user; activities of one ``group`` take about
    the same time.
    """

    @property
    def id(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def group(self) -> str: ...


@dataclass(frozen=True)
class Job:
    """A function call for one worker process, possibly on another machine.

    Args:
        id: unique in the run.
        title: shown to the user.
        function: ``"package.module:function"``; takes ``payload`` and a
            :class:`seqbench.workers.context.JobContext`, and returns JSON data.
        payload: a frozen dataclass of plain data, of the type of the function's first parameter.
            It names files relative to the :class:`~seqbench.workers.context.Workspace`.
        log: file for its output, in the run's folder; "" discards it.
        device: the device that it occupies: ``cpu``, ``cuda:1``, …
        group: jobs of one group take about the same time.
        threads: CPU threads that it occupies.
        limit: time limit in seconds, or None.
        memory: memory limit in bytes, or None.
        retries: maximum number of retries if a signal kills it.
        keep_directory: whether it runs in the caller's directory instead of an empty one.
    """

    id: str
    title: str
    function: str
    payload: Any
    log: str = ""
    device: str = "cpu"
    group: str = ""
    threads: int = 1
    limit: float | None = None
    memory: int | None = None
    retries: int = 0
    keep_directory: bool = False


@dataclass(frozen=True)
class Attempt:
    """One attempt at a job: how it ended, and how many seconds it took."""

    status: Status
    reason: str
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        result: the return value of the function.
        started: UTC time, ISO 8601. seconds: wall time.
        lines: the last lines of its output, unless it succeeded.
        attempts: earlier attempts.
    """

    job: Activity
    status: Status
    reason: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    lines: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def attempt(self) -> Attempt:
        """The last attempt."""
        return Attempt(self.status, self.reason, self.seconds)


@dataclass(frozen=True)
class Listener:
    """Callbacks while jobs run: a job has started, a job has sent a message."""

    started: Callable[[Activity], None] = lambda job: None
    received: Callable[[Activity, Mapping[str, Any]], None] = lambda job, message: None


class Executor(Protocol):
    """Runs jobs, each isolated, as many in parallel as fit.

    ``cores`` is the number of CPU threads that may be busy at once where the jobs run; ``memory``
    is the memory limit there, in bytes, of a job that sets none.
    """

    cores: int
    memory: int

    def run(
        self, jobs: Sequence[Job], workspace: Workspace, listener: Listener
    ) -> Iterator[Outcome]:
        """Yield each job's outcome as soon as it ends. The first job of every group starts before
        the second of any group.

        A job that fails, hangs or crashes is an outcome, never an exception. If iteration stops
        (``close()`` on the iterator, an exception), all running jobs are killed.
        """
        ...

    def open(self, job: Job, workspace: Workspace) -> Conversation:
        """Start a worker that answers requests; the caller sends them, and kills it.

        Raises:
            WorkerError: the worker cannot be started.
        """
        ...


def utc_now() -> str:
    """The current UTC time, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
