"""Where jobs run. One executor now, on this machine; a cluster's fits behind the same protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from seqbench.records import Status


@dataclass(frozen=True)
class Job:
    """One piece of work, as plain data that can travel.

    Args:
        id: unique in the run.
        title: what to call it before a user.
        kind: what to do (see :mod:`seqbench.workers.main`).
        payload: JSON data that this kind needs.
        log: where what it prints goes.
        group: jobs of one group take about as long as each other.
        device: ``cpu``, ``cuda:1``, …: what it occupies.
        threads: CPU threads it occupies.
        limit: seconds after which it is ended, or ``None``.
        memory: bytes that it may hold, or ``None``.
        retries: how often it is started again if it is lost for a cause outside of it.
    """

    id: str
    title: str
    kind: str
    payload: Mapping[str, Any]
    log: Path
    device: str = "cpu"
    group: str = ""
    threads: int = 1
    limit: float | None = None
    memory: int | None = None
    retries: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        started: UTC time, ISO 8601. seconds: wall time.
        lines: the last that it printed, if it did not end well.
        attempts: those before this one, each with ``status``, ``reason``, ``seconds``.
    """

    job: Job
    status: Status
    reason: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    lines: tuple[str, ...] = ()
    attempts: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Listener:
    """What to call while jobs run."""

    started: Callable[[Job], None] = lambda job: None
    told: Callable[[Job, Mapping[str, Any]], None] = lambda job, message: None


class Executor(Protocol):
    """Runs jobs, each apart from the others, as many at once as fit.

    ``cores`` is the number of CPU threads that may be busy at once where the jobs run; ``memory``
    the bytes that a job without a limit of its own may take there.
    """

    cores: int
    memory: int

    def run(self, jobs: Sequence[Job], listener: Listener) -> Iterator[Outcome]:
        """Yields each job's outcome as soon as it ends. The first job of every group starts before
        the second of any.

        A job that fails, hangs or dies is an outcome, never an exception. Whoever stops iterating
        (``close()`` on the iterator, an exception) ends all jobs still running.
        """
        ...


def attempt_of(outcome: Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in ("status", "reason", "seconds")}


def utc_now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
