"""The description of the machine, and its diagnosis before latency is measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from seqbench.errors import WorkerError
from seqbench.executors.base import Executor, Job, Listener
from seqbench.machine.doctor import DoctorPayload
from seqbench.machine.environment import EnvironmentPayload, git_state
from seqbench.runner.context import Progress, RunContext, local_workspace
from seqbench.workers.variables import ignored_variables

#: Time limit in seconds for describing the machine, including the import of torch.
ENVIRONMENT_LIMIT = 120.0
#: Time limit in seconds for a diagnosis.
DOCTOR_LIMIT = 600.0
#: Duration in seconds of the diagnosis before latency is measured.
DIAGNOSIS_SECONDS = 1.0


def machine_environment(executor: Executor, progress: Progress) -> dict[str, Any]:
    """The description of the machine as a worker sees it.

    Raises:
        WorkerError: torch does not work on this machine.
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
        raise WorkerError(f"torch does not work on this machine: {outcome.reason}")
    # Of the folder and the process that the run was started in.
    return {**outcome.result, "git": git_state(), "ignored_variables": ignored_variables()}


def diagnose_machine(run: RunContext) -> None:
    """Diagnose the machine and record the findings in the environment."""
    job = dataclasses.replace(
        doctor_job(run.executor, DIAGNOSIS_SECONDS, after_training=True), log="logs/doctor.log"
    )
    for outcome in run.do("doctor", [job]):
        if outcome.status == "ok":
            found = {**run.folder.environment(), "doctor": dict(outcome.result)}
            run.folder.write_environment(found)


def doctor_job(executor: Executor, seconds: float, *, after_training: bool) -> Job:
    """The job that diagnoses the machine for some seconds; nothing else may run meanwhile."""
    return Job(
        "doctor",
        "doctor",
        "seqbench.machine.doctor:examine",
        DoctorPayload(seconds, after_training),
        threads=executor.cores,
        limit=DOCTOR_LIMIT,
    )
