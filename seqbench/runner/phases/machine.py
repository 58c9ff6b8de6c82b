"""What the machine is, and whether it is fit to measure on now."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from seqbench.errors import WorkerError
from seqbench.executors.base import Executor, Job, Listener
from seqbench.machine.doctor import DoctorPayload
from seqbench.machine.environment import EnvironmentPayload
from seqbench.runner.context import Progress, RunContext, local_workspace

#: Seconds for a description of the machine; importing torch takes some of them.
ENVIRONMENT_LIMIT = 120.0
#: Seconds that watching the machine may take.
DOCTOR_LIMIT = 600.0
#: Seconds that the machine is watched before latency is measured on it.
CHECK_SECONDS = 1.0


def machine_environment(executor: Executor, progress: Progress) -> dict[str, Any]:
    """The machine as a worker sees it.

    Raises:
        WorkerError: torch does not work here.
    """
    progress.phase("start", ())
    job = Job(
        "environment",
        "environment",
        "seqbench.machine.environment:describe",
        EnvironmentPayload(),
        limit=ENVIRONMENT_LIMIT,
    )
    outcome = next(iter(executor.run([job], local_workspace(Path()), Listener())))
    if outcome.status != "ok":
        raise WorkerError(f"torch does not work here: {outcome.reason}")
    return dict(outcome.result)


def check_machine(run: RunContext) -> None:
    """Notes beside the environment how fit the machine is, just before it is measured on."""
    job = dataclasses.replace(
        doctor_job(run.executor, CHECK_SECONDS, after_training=True), log="logs/doctor.log"
    )
    for outcome in run.do("doctor", [job]):
        if outcome.status == "ok":
            found = {**run.folder.environment(), "doctor": dict(outcome.result)}
            run.folder.write_environment(found)


def doctor_job(executor: Executor, seconds: float, *, after_training: bool) -> Job:
    """Watches the machine for some seconds, with nothing else running."""
    return Job(
        "doctor",
        "doctor",
        "seqbench.machine.doctor:examine",
        DoctorPayload(seconds, after_training),
        threads=executor.cores,
        limit=DOCTOR_LIMIT,
    )
