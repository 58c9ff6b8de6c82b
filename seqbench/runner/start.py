"""Starts a run: plans a suite, opens its folder, and carries out the phases in order."""

from __future__ import annotations

import contextlib
import copy
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.errors import PluginError, StoreError
from seqbench.executors.registry import make_executor
from seqbench.plugins.discovery import load_plugins
from seqbench.runner.context import Progress, RunContext, local_workspace
from seqbench.runner.phases.machine import machine_environment
from seqbench.runner.phases.measure import measure_cases
from seqbench.runner.phases.prepare import prepare_datasets
from seqbench.runner.phases.score import score_trials
from seqbench.runner.phases.train import train_trials
from seqbench.runner.resume.check import as_before
from seqbench.runner.resume.earlier import Earlier, Resume, Resumed, read_earlier
from seqbench.runner.resume.moved import compare_weights
from seqbench.store.run_folder import RunFolder
from seqbench.suite.selection import Selection
from seqbench.suite.shipped import as_given
from seqbench.summary.run import Run

if TYPE_CHECKING:
    from seqbench.executors.base import Executor
    from seqbench.plan.expand import Plan
    from seqbench.plugins.registry import Registry


@dataclass(frozen=True)
class Request:
    """What is to be run.

    Args:
        suite: the suite's file.
        selection: what is changed about it.
        resume: the run to resume; what ``selection`` leaves open is then as it was for that run.
    """

    suite: Path
    selection: Selection
    resume: Resume | None = None

    @property
    def whole_selection(self) -> Selection:
        """With what was chosen for the run that is resumed."""
        if self.resume is None:
            return self.selection
        return as_before(self.selection, self.resume.folder)


def plan_suite(suite: Path, selection: Selection, registry: Registry) -> Plan:
    """The plan for a suite. Devices such as ``auto`` are not resolved yet: that needs torch.

    Raises:
        SuiteError, UsageError: the suite or the selection is not valid.
    """
    from seqbench.plan.expand import make_plan
    from seqbench.suite.validate import load_suite

    return make_plan(
        load_suite(suite, registry=registry, overrides=as_overrides(selection)),
        registry,
        models=selection.models,
        datasets=selection.datasets,
        allow_many=selection.allow_many,
    )


def start_run(
    request: Request,
    *,
    out: Path,
    data_dir: Path | None = None,
    progress: Progress | None = None,
    on_folder: Callable[[RunFolder], None] = lambda folder: None,
    on_resume: Callable[[Resumed], None] = lambda resumed: None,
    executor: Executor | None = None,
) -> Run:
    """Plans and carries out.

    Args:
        out: where the folders of runs are.
        on_folder: is given the run's folder before the first trial.
        on_resume: is given what is kept, if a run is resumed.

    Raises:
        SuiteError: the suite is not valid.
        StoreError: a result cannot be written, or another process works in the folder.
    """
    clock = time.monotonic()
    selection, progress = request.whole_selection, progress or Progress()
    # An invalid suite is reported at once, before torch loads.
    plan = plan_suite(request.suite, selection, load_plugins())
    executor = executor or make_executor()
    with _reserved(request.resume, out):
        environment = machine_environment(executor, progress)
        plan = plan.on(environment["devices"])
        opening = _Opening(request, selection, plan, environment, out)
        folder, earlier, resumed = opening.open()
        with contextlib.ExitStack() as stack:
            if resumed is None:
                stack.enter_context(folder.locked())
            else:
                on_resume(resumed)
            folder.begin(earlier.seconds, file=as_given(request.suite), selection=asdict(selection))
            folder.log(str(resumed or "begun"))
            folder.write_environment({**earlier.noted, **environment})
            on_folder(folder)
            run = RunContext(
                plan=plan,
                folder=folder,
                executor=executor,
                progress=progress,
                workspace=local_workspace(folder.path, data_dir),
                available=environment["devices"],
                earlier=earlier,
                retry_failed=request.resume is not None and request.resume.retry_failed,
            )
            _carry_out(run, clock)
            for line in compare_weights(earlier.moved, folder):
                folder.log(line)
    found = Run.open(folder.path)
    _write_reports(run, found)
    return found


@contextlib.contextmanager
def _reserved(resume: Resume | None, out: Path) -> Iterator[None]:
    """The folder of the run that is resumed is locked; a new one can be made in ``out``."""
    if resume is None:
        RunFolder.try_place(out)
        yield
    else:
        with resume.folder.locked():
            yield


@dataclass(frozen=True)
class _Opening:
    """Makes the folder of a new run, or takes up that of the one that is resumed."""

    request: Request
    selection: Selection
    plan: Plan
    environment: dict[str, Any]
    out: Path

    def open(self) -> tuple[RunFolder, Earlier, Resumed | None]:
        """The folder, what it holds, and, if it is resumed, what of that is kept."""
        source = self.request.suite.read_text("utf-8-sig")
        # Beside the plan, too: if one of the files is damaged, the other tells what was chosen.
        planned = {**self.plan.to_dict(), "selection": asdict(self.selection)}
        resume = self.request.resume
        if resume is None:
            folder = RunFolder.create(self.out, self.plan.suite.name, source, planned)
            return folder, Earlier(), None
        earlier = read_earlier(resume, self.plan, self.selection, self.environment)
        resume.folder.plan_again(source, planned)
        kept, trials = len(earlier.kept), len(self.plan.trials)
        resumed = Resumed(resume.folder.path, kept, trials, self.selection)
        return resume.folder, earlier, resumed


def _carry_out(run: RunContext, clock: float) -> None:
    """Carries out the phases, and notes how the run ended and how long it took in all.

    Args:
        clock: when this attempt began.
    """
    status = why = "failed"
    try:
        carry_out(run)
        status = why = "finished"
    except KeyboardInterrupt:
        status = why = "interrupted"
        raise
    except Exception as error:
        why = f"failed: {type(error).__name__}: {error}"
        raise
    finally:
        run.folder.log(why)
        seconds = round(run.earlier.seconds + time.monotonic() - clock, 3)
        with contextlib.suppress(StoreError):  # what went wrong before is what matters
            run.folder.set_state(status, seconds=seconds)


def carry_out(run: RunContext) -> None:
    """Trains every trial of the plan and measures every case that trained.

    Results are in the run's folder as soon as they are known; a trial that fails is a result, not
    an exception.
    """
    datasets = prepare_datasets(run)
    trained = train_trials(run, datasets)
    measure_cases(run, trained)
    score_trials(run, trained, datasets)


def _write_reports(run: RunContext, found: Run) -> None:
    """The files that the suite asks for. If one fails, the others are written all the same."""
    from seqbench.report.plugin import render_report

    for report in run.plan.reports:
        try:
            document = copy.deepcopy(found.document)  # a report may sort or cut what it is given
            run.folder.write_report(report, render_report(report.choice, document))
        except (PluginError, StoreError) as error:
            run.folder.log(str(error))
            warnings.warn(str(error), stacklevel=2)


def as_overrides(selection: Selection) -> list[str]:
    """Settings to change in the suite; devices and seeds are settings like any other."""
    extra = []
    if selection.devices:
        extra.append(f"devices=[{', '.join(selection.devices)}]")
    if selection.seeds is not None:
        extra.append(f"seeds={selection.seeds}")
    return [*selection.overrides, *extra]
