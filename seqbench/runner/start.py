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
from seqbench.plan.advice import advice
from seqbench.plan.matching import open_cases
from seqbench.plan.of_suite import plan_suite
from seqbench.plugins.discovery import load_plugins
from seqbench.report.run import Run
from seqbench.runner.context import Progress, RunContext, local_workspace
from seqbench.runner.forecast.before_run import earlier_runs, known_work
from seqbench.runner.phases.keep import remove_unkept
from seqbench.runner.phases.machine import machine_environment, require_device
from seqbench.runner.phases.match import known_widths, match_and_store
from seqbench.runner.phases.measure import measure_cases
from seqbench.runner.phases.prepare import prepare_datasets
from seqbench.runner.phases.restore import restore_weights
from seqbench.runner.phases.score import score_trials
from seqbench.runner.phases.train import train_trials
from seqbench.runner.resume.can_resume import as_before
from seqbench.runner.resume.earlier import Earlier, Resume, Resumed, read_earlier
from seqbench.runner.resume.moved import compare_weights
from seqbench.runner.resume.suite import place_of
from seqbench.store.places import require_usable
from seqbench.store.run_folder import RunFolder
from seqbench.suite.files import SuiteFile
from seqbench.suite.selection import Selection
from seqbench.suite.shipped import as_given
from seqbench.training.cache import used
from seqbench.training.data import cache_dir

if TYPE_CHECKING:
    from seqbench.executors.base import Executor
    from seqbench.plan.expand import Plan


@dataclass(frozen=True)
class Request:
    """What to run.

    Args:
        suite: the suite's file.
        selection: changes to the suite.
        resume: the run to resume; what ``selection`` leaves open is taken from that run.
    """

    suite: SuiteFile
    selection: Selection
    resume: Resume | None = None

    @property
    def whole_selection(self) -> Selection:
        """The selection, completed with that of the resumed run."""
        if self.resume is None:
            return self.selection
        return as_before(self.selection, self.resume.folder)


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
    """Plan a suite, run all phases and return the results.

    Args:
        out: folder of all runs.
        on_folder: called with the run's folder before the first trial.
        on_resume: called with what is kept, if a run is resumed.

    Raises:
        SuiteError: the suite is not valid.
        StoreError: a result cannot be written, or another process uses the folder.
    """
    clock, selection = time.monotonic(), request.whole_selection
    progress, executor = progress or Progress(), executor or make_executor()
    # An invalid suite is reported at once, before torch loads.
    plan = plan_suite(request.suite, selection, load_plugins())
    progress.advised(advice(plan))
    with _reserved(request.resume, out):
        environment = machine_environment(executor, progress)
        plan = _as_known(plan.on(environment["devices"]), request.resume)
        opening = _Opening(request, selection, plan, environment, out)
        folder, earlier, resumed = opening.open()
        if resumed is not None:
            on_resume(resumed)
        with folder.locked() if resumed is None else contextlib.nullcontext():
            opening.begin(folder, earlier, resumed)
            on_folder(folder)
            run = RunContext(
                plan=plan,
                folder=folder,
                executor=executor,
                progress=progress,
                workspace=local_workspace(folder.path, data_dir),
                environment=environment,
                earlier=earlier,
                retry_failed=request.resume is not None and request.resume.retry_failed,
            )
            _carry_out(run, clock)
    results = Run.open(folder.path)
    _write_reports(run, results)
    return results


def _as_known(plan: Plan, resume: Resume | None) -> Plan:
    """The plan with the widths that the resumed run, if any, has found already."""
    if resume is None:
        return plan
    before = resume.folder.plan_or_empty()
    return known_widths(plan, before, retry_failed=resume.retry_failed)


@contextlib.contextmanager
def _reserved(resume: Resume | None, out: Path) -> Iterator[None]:
    """Lock the folder of the resumed run, or check that ``out`` can hold a new one."""
    require_usable(out if resume is None else resume.folder.path, cache_dir())
    if resume is None:
        RunFolder.try_place(out)
        yield
    else:
        with resume.folder.locked():
            yield


@dataclass(frozen=True)
class _Opening:
    """Creates the folder of a new run, or opens that of the resumed run."""

    request: Request
    selection: Selection
    plan: Plan
    environment: dict[str, Any]
    out: Path

    def open(self) -> tuple[RunFolder, Earlier, Resumed | None]:
        """The folder, the earlier results in it, and, for a resumed run, a summary of them."""
        require_device(self.plan, self.selection, self.environment)
        text = self.request.suite.text
        # Stored in the plan, too: if one of the files is damaged, the other has the selection.
        planned = {**self.plan.to_dict(), "selection": asdict(self.selection)}
        resume = self.request.resume
        if resume is None:
            folder = RunFolder.create(self.out, self.plan.suite.name, text, planned)
            return folder, Earlier(), None
        earlier = read_earlier(resume, self.plan, self.selection, self.environment)
        earlier_ids = {"moved": earlier.moved, "outdated": earlier.outdated}
        known = {key: ids for key, ids in earlier_ids.items() if ids}
        resume.folder.write_plan(text, {**planned, **known})
        kept, trials = len(earlier.kept), len(self.plan.trials)
        resumed = Resumed(resume.folder.path, kept, trials, self.selection)
        return resume.folder, earlier, resumed

    def begin(self, folder: RunFolder, earlier: Earlier, resumed: Resumed | None) -> None:
        """Record in the folder that the run starts, or that it is resumed."""
        selection = asdict(self.selection)
        suite = self.request.suite
        named = {
            "file": as_given(suite.path) if suite.in_file else "",
            "place": place_of(suite.path, folder.path),
        }
        folder.begin(earlier.seconds, **named, selection=selection)
        folder.log(str(resumed or "started"))
        folder.write_environment({**earlier.noted, **self.environment})


def _carry_out(run: RunContext, clock: float) -> None:
    """Run the phases, and record how the run ended and its total duration.

    Args:
        clock: monotonic time when this attempt started.
    """
    status = why = "failed"
    try:
        _announce_work(run)
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
        with contextlib.suppress(StoreError):  # the first error is the one to report
            run.folder.set_state(status, seconds=seconds)
    for line in compare_weights({**run.earlier.moved, **run.earlier.outdated}, run.folder):
        run.folder.log(line)


def _announce_work(run: RunContext) -> None:
    """Report the work left, with the speeds of earlier runs."""
    if run.progress.planned is not None:
        path = run.folder.path.absolute()
        run.progress.planned(known_work(run, [path, *earlier_runs(path.parents[1])]))


def carry_out(run: RunContext) -> None:
    """Train every trial of the plan and measure every trained case.

    Results are written to the run's folder as soon as they are available; a failed trial is a
    result, not an exception.
    """
    datasets = prepare_datasets(run)
    if open_cases(run.plan):
        run = match_and_store(run)
        _announce_work(run)
    with used(datasets.prepared, run.workspace.cache):
        trained = train_trials(run, datasets)
        trained = restore_weights(run, trained, datasets)
        measure_cases(run, trained)
        score_trials(run, trained, datasets)
    remove_unkept(run)


def _write_reports(run: RunContext, results: Run) -> None:
    """Write the reports that the suite lists. If one fails, the others are still written."""
    from seqbench.report.render import render_report

    for report in run.plan.reports:
        try:
            document = copy.deepcopy(results.document)  # a report may modify its argument
            run.folder.write_report(report, render_report(report.choice, document))
        except (PluginError, StoreError) as error:
            run.folder.log(str(error))
            warnings.warn(str(error), stacklevel=2)
