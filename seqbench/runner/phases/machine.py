"""The description of the machine, and its diagnosis before latency is measured."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.devices.registry import no_device
from seqbench.errors import UsageError, WorkerError
from seqbench.executors.base import Executor, Job, Listener
from seqbench.machine.doctor import DoctorPayload
from seqbench.machine.environment import EnvironmentPayload, git_state
from seqbench.report.text import counted
from seqbench.runner.context import Progress, RunContext, local_workspace
from seqbench.workers.variables import ignored_variables

if TYPE_CHECKING:
    from seqbench.plan.expand import Plan
    from seqbench.suite.selection import Selection

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


def require_device(plan: Plan, selection: Selection, environment: Mapping[str, Any]) -> None:
    """Check that this machine has at least one device of the plan; warn about any others.

    Args:
        plan: with the full names of its devices.

    Raises:
        UsageError: it has none, so no trial could run.
    """
    available = environment["devices"]
    wanted = dict.fromkeys(case.device for case in plan.cases)
    absent = [device for device in wanted if device not in available]
    if not absent:
        return
    if len(absent) == len(wanted):
        given = " ".join(f"--device {device}" for device in selection.devices) or "devices"
        raise UsageError(f"{given}: {no_device(' or '.join(absent), available)}")
    for device in absent:
        skipped = counted(sum(trial.case.device == device for trial in plan.trials), "trial")
        warnings.warn(f"{no_device(device, available)}; skipped: {skipped}", stacklevel=2)


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
