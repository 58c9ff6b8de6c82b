"""Starts a run: plans a suite, opens its folder, and carries out the phases in order."""

from __future__ import annotations

import contextlib
import copy
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from seqbench.errors import PluginError, StoreError
from seqbench.plugins.discovery import load_plugins
from seqbench.runner.phases.machine import machine_environment
from seqbench.runner.phases.measure import measure_cases
from seqbench.runner.phases.prepare import prepare_datasets
from seqbench.runner.phases.score import score_trials
from seqbench.runner.phases.train import train_trials
from seqbench.runner.resume.earlier import Again, Earlier, Resumed, read_earlier
from seqbench.store.run_folder import RunFolder
from seqbench.suite.selection import Selection
from seqbench.summary.run import Run

if TYPE_CHECKING:
    from seqbench.executors.base import Executor
    from seqbench.plan.expand import Plan
    from seqbench.plugins.registry import Registry
    from seqbench.runner.context import Progress, RunContext


def plan_suite(
    suite: Path,
    selection: Selection,
    registry: Registry,
    available: Mapping[str, str] | None = None,
) -> Plan:
    """The plan for a suite. Without ``available`` devices, ``auto`` stays ``auto``: no torch."""
    from seqbench.devices.registry import resolve_device
    from seqbench.plan.expand import make_plan
    from seqbench.suite.validate import load_suite

    loaded = load_suite(suite, registry=registry, overrides=_as_overrides(selection))
    names = {} if available is None else {d: resolve_device(d, available) for d in loaded.devices}
    return make_plan(
        loaded,
        registry,
        devices=names,
        models=selection.models,
        datasets=selection.datasets,
        allow_many=selection.allow_many,
    )


def latest_of_suite(suite: Path, selection: Selection, out: Path) -> RunFolder:
    """The latest run of a suite. Raises StoreError: there is none."""
    from seqbench.store.find import latest_run
    from seqbench.suite.validate import load_suite

    overrides = _as_overrides(selection)
    name = load_suite(suite, registry=load_plugins(), overrides=overrides).name
    return RunFolder.open(latest_run(out, name))


def start_run(
    suite: Path,
    selection: Selection,
    *,
    out: Path,
    data_dir: Path | None,
    progress: Progress,
    on_folder: Callable[[RunFolder], None] = lambda folder: None,
    on_resume: Callable[[Resumed], None] = lambda resumed: None,
    executor: Executor | None = None,
    again: Again | None = None,
) -> Run:
    """Plans and carries out.

    Args:
        on_folder: is told the run's folder before the first trial.
        on_resume: if it is gone on with, before, with what.
        again: a run to go on with; what it has earned is kept, and what ``selection`` leaves open
            is as it was chosen for that run.

    Raises:
        SuiteError: the suite is not valid.
        StoreError: a result cannot be written down, or another process is at work in that folder.
    """
    from seqbench.executors.local import LocalExecutor
    from seqbench.runner.context import RunContext
    from seqbench.runner.resume.check import as_before

    registry = load_plugins()
    if again is not None:
        selection = as_before(selection, again.folder)
    plan_suite(suite, selection, registry)  # an invalid suite is said at once, before torch loads
    executor = executor or LocalExecutor()
    clock = time.monotonic()
    with contextlib.ExitStack() as stack:
        if again is not None:
            stack.enter_context(again.folder.locked())
        else:
            RunFolder.try_place(out)
        environment = machine_environment(executor, progress)
        plan = plan_suite(suite, selection, registry, environment["devices"])
        source = suite.read_text("utf-8-sig")
        # Beside the plan, too: whatever becomes of one file, the other tells what was chosen.
        planned = {**plan.to_dict(), "selection": asdict(selection)}
        if again is None:
            folder, earned = RunFolder.create(out, plan.suite.name, source, planned), Earlier()
            stack.enter_context(folder.locked())
        else:
            folder = again.folder
            earned = read_earlier(again, plan, selection, environment)
            folder.plan_again(source, planned)
            resumed = Resumed(folder.path, len(earned.trials), len(plan.trials), selection)
            on_resume(resumed)
        folder.begin(earned.seconds, file=str(suite), selection=asdict(selection))
        folder.log("begun" if again is None else str(resumed))
        folder.write_environment({**earned.noted, **environment})
        on_folder(folder)
        work = RunContext(
            plan, folder, executor, progress, data_dir, environment["devices"], earned.trials,
            earned.cases, earned.earlier, again is not None and again.retry_failed,
        )  # fmt: skip
        _carry_out(work, earned.seconds, clock)
    found = Run.open(folder.path)
    _write_reports(work, found)
    return found


def _write_reports(work: RunContext, run: Run) -> None:
    """The files that the suite asks for. One that cannot be made costs nothing but itself."""
    from seqbench.report.plugin import render_report

    for report in work.plan.reports:
        try:
            document = copy.deepcopy(run.document)  # a report may sort or cut what it is given
            work.folder.write_report(report, render_report(report.choice, document))
        except (PluginError, StoreError) as error:
            work.folder.log(str(error))
            warnings.warn(str(error), stacklevel=2)


def _carry_out(work: RunContext, before: float, clock: float) -> None:
    """Does the work and notes how it ended, and how long the run took in all.

    Args:
        before: seconds of earlier attempts.
        clock: when this one began.
    """

    status = why = "failed"
    try:
        carry_out(work)
        status = why = "finished"
    except KeyboardInterrupt:
        status = why = "interrupted"
        raise
    except Exception as error:
        why = f"failed: {type(error).__name__}: {error}"
        raise
    finally:
        work.folder.log(why)
        seconds = round(before + time.monotonic() - clock, 3)
        with contextlib.suppress(StoreError):  # what went wrong before is what matters
            work.folder.set_state(status, seconds=seconds)


def _as_overrides(selection: Selection) -> list[str]:
    """Devices and seeds given apart are settings like any other."""
    extra = []
    if selection.devices:
        extra.append(f"devices=[{', '.join(selection.devices)}]")
    if selection.seeds is not None:
        extra.append(f"seeds={selection.seeds}")
    return [*selection.overrides, *extra]


def carry_out(work: RunContext) -> None:
    """Runs every trial of the plan and measures every case that trained.

    Results stand in ``work.folder`` the moment they are earned; nothing that goes wrong with one
    trial is an exception here.
    """
    ready = prepare_datasets(work)
    trained = train_trials(work, ready)
    measure_cases(work, trained, ready)
    score_trials(work, trained, ready)
