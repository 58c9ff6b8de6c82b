"""What the machine is, and whether it is fit to measure on now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.errors import WorkerError
from seqbench.executors.base import Job, Listener
from seqbench.runner.context import RunContext

if TYPE_CHECKING:
    from seqbench.executors.base import Executor
    from seqbench.runner.context import Progress


def machine_environment(executor: Executor, progress: Progress) -> dict[str, Any]:
    """The machine as a worker sees it. Raises WorkerError."""

    progress.phase("start", ())
    environment = described_machine(executor)
    if "error" in environment:
        raise WorkerError(f"torch does not work here: {environment['error']}")
    return environment


MEASURE_LIMIT = 600.0

#: How long the machine is watched before latency is measured on it.
CHECK_SECONDS = 1.0


def check_machine(work: RunContext) -> None:
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


ENVIRONMENT_LIMIT = 120.0


def described_machine(executor: Executor) -> dict[str, Any]:
    """The machine as a worker sees it, or ``{"error": reason}``."""
    nowhere = Path(os.devnull)
    job = Job("environment", "environment", "environment", {}, nowhere, limit=ENVIRONMENT_LIMIT)
    outcome = next(iter(executor.run([job], Listener())))
    return dict(outcome.result) if outcome.status == "ok" else {"error": outcome.reason}
