"""The Python API: what ``seqbench run`` does, as a function."""

from __future__ import annotations

import contextlib
import copy
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench import plugins
from seqbench.errors import PluginError, StoreError, WorkerError
from seqbench.selection import Selection
from seqbench.store import RunFolder

if TYPE_CHECKING:
    from seqbench.executors import Executor
    from seqbench.measuring import Missing
    from seqbench.plan import Plan
    from seqbench.plugins import Registry
    from seqbench.records import CaseRecord, TrialRecord
    from seqbench.resume import Decision
    from seqbench.work import Progress, Work

RESULTS = Path("results")


@dataclass(frozen=True)
class Again:
    """A run to go on with, and whether what did not end well is done again."""

    folder: RunFolder
    retry_failed: bool = False


@dataclass(frozen=True)
class Run:
    """A run and its results.

    ``path`` is its folder; ``records`` its trials, ``cases`` what was measured of each case;
    ``document`` all of it as one JSON document (docs/results.md).
    """

    path: Path
    document: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """An earlier run.

        Raises:
            StoreError: ``path`` is no run folder.
        """
        from seqbench.report.document import document

        folder = RunFolder.open(Path(path))
        found = document(
            str(folder.path),
            state=folder.state(),
            plan=folder.plan(),
            environment=folder.environment(),
            trials=folder.trials(),
            cases=folder.cases(),
            comparisons=folder.comparisons(),
        )
        return cls(folder.path, found)

    @property
    def records(self) -> list[TrialRecord]:
        """One record for each trial that has ended."""
        return list(RunFolder.open(self.path).trials())

    @property
    def cases(self) -> list[CaseRecord]:
        """What was measured of each case."""
        return list(RunFolder.open(self.path).cases())

    @property
    def ok(self) -> bool:
        """Whether the run came to its end and every trial and measurement ended well."""
        finished = self.document["status"] == "finished"
        return finished and all(case["status"] == "ok" for case in self.document["cases"])

    def to_dicts(self) -> list[dict[str, Any]]:
        """One flat dictionary for each trial, ready for a data frame."""
        cases = {case["id"]: case for case in self.document["cases"]}
        rows = []
        for trial in self.document["trials"]:
            case = cases[trial["case"]]
            row = {k: v for k, v in trial.items() if k not in ("metrics", "scores")}
            row |= {f"model.{name}": value for name, value in case["params"].items()}
            row |= {f"dataset.{name}": value for name, value in case["dataset_params"].items()}
            flat = {k: v for k, v in trial["metrics"].items() if not isinstance(v, list)}
            row |= {f"score.{name}": value for name, value in trial["scores"].items()}
            rows.append({**row, **flat})
        return rows


def run(
    suite: str | Path,
    *,
    overrides: Sequence[str] = (),
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    devices: Sequence[str] = (),
    seeds: int | None = None,
    allow_many: bool = False,
    out: str | Path = RESULTS,
    data_dir: str | Path | None = None,
) -> Run:
    """Runs a suite and returns its results, as ``seqbench run`` does without its display.

    Args:
        suite: path of the YAML file.
        overrides: settings to change, as ``"train.epochs=2"``.
        models, datasets: only these.
        devices, seeds: instead of the suite's.
        allow_many: run more than 1,000 trials.
        out: folder for results.
        data_dir: folder where datasets lie, to look there first; default: ``SEQBENCH_DATA``.

    Raises:
        SuiteError: the suite is not valid. Trials that fail are results, not exceptions.
    """
    from seqbench.work import Progress

    data_dir = data_dir or os.environ.get("SEQBENCH_DATA")
    selection = Selection(
        _list(overrides), _list(models), _list(datasets), _list(devices), seeds, allow_many
    )
    return start(
        Path(suite), selection, out=Path(out), data_dir=_path(data_dir), progress=Progress()
    )


def plan_suite(
    suite: Path,
    selection: Selection,
    registry: Registry,
    available: Mapping[str, str] | None = None,
) -> Plan:
    """The plan for a suite. Without ``available`` devices, ``auto`` stays ``auto``: no torch."""
    from seqbench.environment import resolve
    from seqbench.plan import plan
    from seqbench.suite import load_suite

    loaded = load_suite(suite, registry=registry, overrides=_as_overrides(selection))
    names = {} if available is None else {d: resolve(d, available) for d in loaded.devices}
    return plan(
        loaded,
        registry,
        devices=names,
        models=selection.models,
        datasets=selection.datasets,
        allow_many=selection.allow_many,
    )


def latest(suite: Path, selection: Selection, out: Path) -> RunFolder:
    """The latest run of a suite. Raises StoreError: there is none."""
    from seqbench.runs import latest_run
    from seqbench.suite import load_suite

    overrides = _as_overrides(selection)
    name = load_suite(suite, registry=plugins.load(), overrides=overrides).name
    return RunFolder.open(latest_run(out, name))


def start(
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
    from seqbench.resume import as_before
    from seqbench.work import Work

    registry = plugins.load()
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
        environment = _environment(executor, progress)
        plan = plan_suite(suite, selection, registry, environment["devices"])
        source = suite.read_text("utf-8-sig")
        # Beside the plan, too: whatever becomes of one file, the other tells what was chosen.
        planned = {**plan.to_dict(), "selection": asdict(selection)}
        if again is None:
            folder, earned = RunFolder.create(out, plan.suite.name, source, planned), _Earned()
            stack.enter_context(folder.locked())
        else:
            folder = again.folder
            earned = _earned(again, plan, selection, environment)
            folder.plan_again(source, planned)
            resumed = Resumed(folder.path, len(earned.trials), len(plan.trials), selection)
            on_resume(resumed)
        folder.begin(earned.seconds, file=str(suite), selection=asdict(selection))
        folder.log("begun" if again is None else str(resumed))
        folder.write_environment({**earned.noted, **environment})
        on_folder(folder)
        work = Work(
            plan, folder, executor, progress, data_dir, environment["devices"], earned.trials,
            earned.cases, earned.earlier, again is not None and again.retry_failed,
        )  # fmt: skip
        _carry_out(work, earned.seconds, clock)
    found = Run.open(folder.path)
    _write_reports(work, found)
    return found


def _write_reports(work: Work, run: Run) -> None:
    """The files that the suite asks for. One that cannot be made costs nothing but itself."""
    from seqbench.report.rendering import render

    for report in work.plan.reports:
        try:
            document = copy.deepcopy(run.document)  # a report may sort or cut what it is given
            work.folder.write_report(report, render(report.choice, document))
        except (PluginError, StoreError) as error:
            work.folder.log(str(error))
            warnings.warn(str(error), stacklevel=2)


@dataclass(frozen=True)
class Resumed:
    """That a run is gone on with: how many of its trials are kept, and what of the suite is changed
    for it.
    """

    path: Path
    kept: int
    trials: int
    selection: Selection

    def __str__(self) -> str:
        changed = f" (with {self.selection})" if self.selection else ""
        return f"going on with {self.path}{changed}: {self.kept} of {self.trials} trials kept"


def _environment(executor: Executor, progress: Progress) -> dict[str, Any]:
    """The machine as a worker sees it. Raises WorkerError."""
    from seqbench import runner

    progress.phase("start", ())
    environment = runner.environment(executor)
    if "error" in environment:
        raise WorkerError(f"torch does not work here: {environment['error']}")
    return environment


def _carry_out(work: Work, before: float, clock: float) -> None:
    """Does the work and notes how it ended, and how long the run took in all.

    Args:
        before: seconds of earlier attempts.
        clock: when this one began.
    """
    from seqbench import runner

    status = why = "failed"
    try:
        runner.carry_out(work)
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


@dataclass(frozen=True)
class _Earned:
    """What an earlier attempt at a run has left: records, seconds, what was ``noted`` of the
    machine. ``earlier`` are the records of trials that are made again.
    """

    trials: Mapping[str, TrialRecord] = field(default_factory=dict)
    earlier: Mapping[str, TrialRecord] = field(default_factory=dict)
    cases: Mapping[str, CaseRecord] = field(default_factory=dict)
    seconds: float = 0.0
    noted: Mapping[str, Any] = field(default_factory=dict)
    decisions: Sequence[Decision] = ()


def _earned(
    again: Again, plan: Plan, selection: Selection, environment: Mapping[str, Any]
) -> _Earned:
    from seqbench.resume import check_again, decide

    folder = again.folder
    check_again(folder, plan, selection, environment)
    decisions = list(decide(plan, folder, retry_failed=again.retry_failed))
    return _Earned(
        {one.trial.id: one.record for one in decisions if one.record is not None},
        {one.trial.id: one.earlier for one in decisions if one.earlier is not None},
        {record.case: record for record in folder.cases()},
        folder.seconds(),
        {name: found for name, found in folder.environment().items() if name in KEPT},
        decisions,
    )


#: What a run notes beside its environment when it times.
KEPT = ("doctor", "disturbed")


@dataclass(frozen=True)
class Intentions:
    """What going on with a run would do: with each trial, and what it would measure of how much."""

    resumed: Resumed
    decisions: Sequence[Decision]
    memory: Sequence[Missing]
    of_memory: int
    scores: int
    of_scores: int
    latency: Sequence[Missing]
    of_latency: int

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        trials = [
            {"id": one.trial.id, "case": one.trial.case.id, "seed": one.trial.seed,
             "keep": one.record is not None, "why": one.why}
            for one in self.decisions
        ]  # fmt: skip
        measured = {
            name: [{"what": one.job.title, "why": one.why} for one in missing]
            for name, missing in (("memory", self.memory), ("latency", self.latency))
        }
        return {"run": str(self.resumed.path), "trials": trials, "scores": self.scores, **measured}


def intentions(suite: Path, selection: Selection, again: Again, progress: Progress) -> Intentions:
    """What going on with a run would do. Does nothing.

    Raises:
        UsageError, StoreError: as :func:`start` would.
    """
    from seqbench import runner
    from seqbench.executors.local import LocalExecutor
    from seqbench.resume import as_before
    from seqbench.work import Work

    folder, executor, registry = again.folder, LocalExecutor(), plugins.load()
    selection = as_before(selection, folder)
    plan_suite(suite, selection, registry)
    folder.check_free()
    environment = _environment(executor, progress)
    plan = plan_suite(suite, selection, registry, environment["devices"])
    earned = _earned(again, plan, selection, environment)
    work = Work(
        plan, folder, executor, progress, None, environment["devices"], earned.trials,
        earned.cases, earned.earlier, again.retry_failed,
    )  # fmt: skip
    asked = runner.intended(work, earned.decisions)
    scores = runner.to_score(work, asked.trained)
    return Intentions(
        Resumed(folder.path, len(earned.trials), len(plan.trials), selection), earned.decisions,
        asked.missing_static(), len(asked.static),
        len(scores), len(asked.trained) * len(plan.metrics),
        asked.missing_contests(), len(asked.contests),
    )  # fmt: skip


def _as_overrides(selection: Selection) -> list[str]:
    """Devices and seeds given apart are settings like any other."""
    extra = []
    if selection.devices:
        extra.append(f"devices=[{', '.join(selection.devices)}]")
    if selection.seeds is not None:
        extra.append(f"seeds={selection.seeds}")
    return [*selection.overrides, *extra]


def _list(value: Sequence[str]) -> list[str]:
    """A name by itself stands for a list of one."""
    return [value] if isinstance(value, str) else list(value)


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
