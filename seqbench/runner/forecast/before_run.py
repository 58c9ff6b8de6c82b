"""How long a run will take, before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqbench.devices.cpu import cpu_name
from seqbench.devices.registry import AUTO, resolve_device
from seqbench.executors.base import Executor
from seqbench.machine.limits import usable_cores
from seqbench.measure.latency.protocol import MIN_PROCESSES
from seqbench.plan.cases import Case
from seqbench.plan.expand import Plan
from seqbench.runner.context import Progress, RunContext, local_workspace
from seqbench.runner.forecast.earlier_runs import (
    environment_of_earlier_run,
    speeds_of_earlier_runs,
)
from seqbench.runner.forecast.probe import probe_cases
from seqbench.runner.forecast.speeds import CaseSpeed
from seqbench.runner.forecast.time_left import TimeLeft
from seqbench.runner.forecast.work import Work
from seqbench.runner.forecast.work_of import unprepared, work_of
from seqbench.runner.phases.machine import machine_environment
from seqbench.runner.remaining import Remaining
from seqbench.runtimes.registry import EAGER
from seqbench.store.find import find_runs
from seqbench.store.run_folder import RunFolder
from seqbench.training.data import is_prepared

#: Seconds from the start of the command to the first job: mostly for loading torch.
START_SECONDS = 2.5

#: The parts of a run as users know them, and the phases of each.
PARTS: Mapping[str, Sequence[str]] = {
    "training": ("train",),
    "measuring": ("memory", "doctor", "latency", "score"),
}

EARLIER = "trials of earlier runs on this machine"


@dataclass(frozen=True)
class Forecast:
    """How long a run will take.

    Args:
        seconds: in total; None if unknown.
        parts: seconds of each part of the run (see :data:`PARTS`); None if unknown.
        basis: what the figures rest on; "" if nothing has to be trained.
        at_most: whether latency takes less if it reaches its precision early.
        without: what takes additional time, which is unknown.
        reasons: why the speeds of cases are unknown.
    """

    seconds: float | None = None
    parts: Mapping[str, float | None] = field(default_factory=dict)
    basis: str = ""
    at_most: bool = False
    without: Sequence[str] = ()
    reasons: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "seconds": _rounded(self.seconds),
            "parts": {name: _rounded(seconds) for name, seconds in self.parts.items()},
            "basis": self.basis,
            "at_most": self.at_most,
            "without": list(self.without),
            "reasons": list(self.reasons),
        }


def forecast_plan(plan: Plan, *, out: Path, executor: Executor, progress: Progress) -> Forecast:
    """Estimate how long a new run of a plan will take. Creates and changes no files.

    Loads torch, in workers, only if speeds have to be measured.

    Args:
        plan: devices need not be resolved.
        out: folder of all runs.
    """
    runs = earlier_runs(out)
    workspace = local_workspace(out / plan.suite.name / "new")
    machine = {"cpu": cpu_name(), "cores": usable_cores()}
    environment = environment_of_earlier_run(runs, machine)
    if environment is None or not _has_devices(environment, plan):
        if any(is_prepared(case.dataset, workspace.cache) for case in plan.cases):
            environment = machine_environment(executor, progress)
        else:  # without torch, devices that the plan names are assumed to exist
            named = {resolve_device(case.device, ["cpu"]): "" for case in plan.cases}
            environment = {**machine, "devices": {**named, "cpu": machine["cpu"]}}
    run = RunContext(
        plan=plan.on(environment["devices"]),
        folder=RunFolder(workspace.run),
        executor=executor,
        progress=progress,
        workspace=workspace,
        environment=environment,
    )
    return forecast(run, Remaining.of(run), runs)


def _has_devices(environment: Mapping[str, Any], plan: Plan) -> bool:
    """Whether an earlier run knew all devices that a plan names: one may have been hidden then."""
    known = environment["devices"]
    return all(
        resolve_device(case.device, known) in known for case in plan.cases if case.device != AUTO
    )


def forecast(run: RunContext, remaining: Remaining, runs: Sequence[Path]) -> Forecast:
    """Estimate how long what is left of a run will take. If speeds are not known from earlier runs,
    a few training steps are timed.

    Args:
        runs: folders of earlier runs, latest first.
    """
    if remaining.skipped and not remaining.trained:
        return Forecast(reasons=list(dict.fromkeys(remaining.skipped.values())))
    cases = _cases(remaining)
    speeds = _known_speeds(run, runs, cases)
    basis = [EARLIER] if speeds else []
    unknown = [case for case in cases if case.id not in speeds]
    estimators = [case for case in unknown if case.model.is_estimator]
    unknown = [case for case in unknown if case not in estimators]
    ready = [case for case in unknown if is_prepared(case.dataset, run.workspace.cache)]
    problems: list[str] = []
    if ready:
        probed, problems = probe_cases(ready, run)
        if probed:
            number = "1 case" if len(probed) == 1 else f"{len(probed)} cases"
            each = "each case" if len(probed) == len(cases) else number
            basis.append(f"a few training steps of {each}")
        speeds = {**speeds, **probed}
    reasons = [*_why_not_probed(unknown, ready), *_unfitted(estimators), *problems]
    work = work_of(run, remaining, speeds)
    return _forecast(run, work, basis=" and ".join(basis), reasons=reasons)


def known_work(run: RunContext, runs: Sequence[Path]) -> Work:
    """The work left in a run, with speeds from earlier runs only.

    Args:
        runs: folders of earlier runs, latest first.
    """
    remaining = Remaining.of(run)
    return work_of(run, remaining, _known_speeds(run, runs, _cases(remaining)))


def earlier_runs(out: Path) -> list[Path]:
    """The folders of all runs in ``out``, latest first."""
    return find_runs(out)[::-1]


def _cases(remaining: Remaining) -> list[Case]:
    """The cases that will be trained."""
    return list({trial.case.id: trial.case for trial in remaining.trials}.values())


def _known_speeds(
    run: RunContext, runs: Sequence[Path], cases: Sequence[Case]
) -> dict[str, CaseSpeed]:
    settings = run.plan.suite.measure.model_dump(mode="json")
    return speeds_of_earlier_runs(cases, runs, run.environment, settings)


def _why_not_probed(unknown: Sequence[Case], ready: Sequence[Case]) -> list[str]:
    missing = dict.fromkeys(case.dataset_label for case in unknown if case not in ready)
    if not missing:
        return []
    verb = "is" if len(missing) == 1 else "are"
    return [f"{', '.join(missing)} {verb} not prepared yet, so no training step can be timed"]


def _unfitted(estimators: Sequence[Case]) -> list[str]:
    return [
        f"{case.name}: the time to fit an estimator is known once it was fitted on this machine"
        for case in estimators
    ]


def _forecast(run: RunContext, work: Work, *, basis: str, reasons: Sequence[str]) -> Forecast:
    phases = TimeLeft(work).parts()
    parts = {name: _sum(phases, of) for name, of in PARTS.items()}
    known = [seconds for seconds in parts.values() if seconds is not None]
    total = START_SECONDS + sum(known) if len(known) == len(parts) else None
    without = []
    if missing := dict.fromkeys(unprepared(run).values()):
        without.append(f"the time to prepare {', '.join(missing)}")
    latency = run.plan.suite.measure.latency
    if work.contests and latency is not None and set(latency.runtimes) != {EAGER}:
        without.append("the time to compile")
    at_most = any(MIN_PROCESSES < one.likely == one.processes for one in work.contests)
    return Forecast(total, parts, basis, at_most=at_most, without=without, reasons=reasons)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _sum(phases: Mapping[str, float | None], names: Sequence[str]) -> float | None:
    found = [phases[name] for name in names if name in phases]
    return None if None in found else sum(each for each in found if each is not None)
