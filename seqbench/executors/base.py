"""What an executor is: it runs jobs, and starts workers that answer questions.

No kind of job is special to it. A new executor is a file beside ``local.py`` and a line in
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
    """What a display needs to know of something that runs.

    ``id`` is unique in the run; ``title`` is for the user; those of one ``group`` take about
    equally long.
    """

    @property
    def id(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def group(self) -> str: ...


@dataclass(frozen=True)
class Job:
    """A function that a worker calls in a process of its own. It can travel to another machine.

    Args:
        id: unique in the run.
        title: what the user sees.
        function: ``"package.module:function"``; takes ``payload`` and a
            :class:`seqbench.workers.context.JobContext`, and returns JSON data.
        payload: a frozen dataclass, the type of the function's first parameter, made of plain data.
            It names files relative to the :class:`~seqbench.workers.context.Workspace`.
        log: file for what it prints, in the run's folder; "" for nowhere.
        device: ``cpu``, ``cuda:1``, …: what it occupies.
        group: jobs of one group take about as long as each other.
        threads: CPU threads that it occupies.
        limit: seconds after which it is stopped, or None.
        memory: bytes that it may hold, or None.
        retries: how often it is started again after a signal has killed it.
        keep_directory: whether it works in the caller's directory instead of an empty one.
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
    """One attempt at a job: how it ended, and after how many seconds."""

    status: Status
    reason: str
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        result: what the function returned.
        started: UTC time, ISO 8601. seconds: wall time.
        lines: the last lines that it printed, unless it succeeded.
        attempts: those before this one.
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
        """This one, as one attempt among several."""
        return Attempt(self.status, self.reason, self.seconds)


@dataclass(frozen=True)
class Listener:
    """What to call while jobs run."""

    started: Callable[[Activity], None] = lambda job: None
    told: Callable[[Activity, Mapping[str, Any]], None] = lambda job, message: None


class Executor(Protocol):
    """Runs jobs, each apart from the others, as many at once as fit.

    ``cores`` is the number of CPU threads that may be busy at once where the jobs run; ``memory``
    the bytes that a job without a limit of its own may take there.
    """

    cores: int
    memory: int

    def run(
        self, jobs: Sequence[Job], workspace: Workspace, listener: Listener
    ) -> Iterator[Outcome]:
        """Yields each job's outcome as soon as it ends. The first job of every group starts before
        the second of any.

        A job that fails, hangs or dies is an outcome, never an exception. Whoever stops iterating
        (``close()`` on the iterator, an exception) ends all jobs still running.
        """
        ...

    def open(self, job: Job, workspace: Workspace) -> Conversation:
        """Starts a worker that answers questions; the caller decides when it is asked, and ends it.

        Raises:
            WorkerError: it cannot be started.
        """
        ...


def utc_now() -> str:
    """The time, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
