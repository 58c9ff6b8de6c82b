"""What resuming a run would do, without doing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seqbench.executors.base import Executor
from seqbench.plan.advice import advice
from seqbench.plan.of_suite import plan_suite
from seqbench.plugins.discovery import load_plugins
from seqbench.runner.context import Progress, RunContext, local_workspace
from seqbench.runner.forecast.before_run import Forecast, earlier_runs, forecast
from seqbench.runner.phases.contests import titled
from seqbench.runner.phases.machine import machine_environment, require_device
from seqbench.runner.phases.match import deviations, known_widths, preview_widths
from seqbench.runner.phases.restore import RESTORED
from seqbench.runner.phases.score import to_score
from seqbench.runner.remaining import Remaining
from seqbench.runner.resume.can_resume import as_before
from seqbench.runner.resume.decide_measurements import Missing
from seqbench.runner.resume.decide_trials import Decision
from seqbench.runner.resume.earlier import Resume, Resumed, read_earlier
from seqbench.store.run_folder import checkpoint_file
from seqbench.suite.files import SuiteFile
from seqbench.suite.selection import Selection


@dataclass(frozen=True)
class Part:
    """The missing measurements of one kind, and how many are requested in total."""

    missing: Sequence[Missing]
    requested: int


@dataclass(frozen=True)
class Preview:
    """What resuming a run would do with each trial, and what it would measure.

    Args:
        skipped: why trials would be skipped, by id.
        scores: number of metrics that would be computed, out of ``scores_requested``.
        forecast: how long that would take.
        warnings: what the run cannot tell (see :func:`.advice`).
    """

    resumed: Resumed
    decisions: Sequence[Decision]
    skipped: Mapping[str, str]
    memory: Part
    latency: Part
    scores: int
    scores_requested: int
    forecast: Forecast
    warnings: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        trials = [
            {"id": one.trial.id, "case": one.trial.case.id, "seed": one.trial.seed,
             "keep": one.record is not None, "why": self.skipped.get(one.trial.id, one.why)}
            for one in self.decisions
        ]  # fmt: skip
        measured = {
            name: [{"what": one.activity.title, "why": one.why} for one in part.missing]
            for name, part in (("memory", self.memory), ("latency", self.latency))
        }
        return {
            "run": str(self.resumed.path),
            "trials": trials,
            "scores": self.scores,
            **measured,
            "estimate": self.forecast.to_dict(),
            "warnings": list(self.warnings),
        }


def preview(
    suite: SuiteFile,
    selection: Selection,
    resume: Resume,
    progress: Progress,
    *,
    out: Path,
    executor: Executor,
) -> Preview:
    """What resuming a run would do. Changes nothing.

    Args:
        out: folder of all runs, whose speeds are known.

    Raises:
        UsageError, StoreError: like :func:`seqbench.runner.start.start_run`.
    """
    folder = resume.folder
    selection = as_before(selection, folder)
    plan = plan_suite(suite, selection, load_plugins())
    folder.require_free()
    environment = machine_environment(executor, progress)
    plan = plan.on(environment["devices"])
    plan = known_widths(plan, folder.plan_or_empty(), retry_failed=resume.retry_failed)
    plan = preview_widths(plan, out=out, executor=executor, progress=progress)
    require_device(plan, selection, environment)
    earlier = read_earlier(resume, plan, selection, environment)
    run = RunContext(
        plan=plan,
        folder=folder,
        executor=executor,
        progress=progress,
        workspace=local_workspace(folder.path),
        environment=environment,
        earlier=earlier,
        retry_failed=resume.retry_failed,
    )
    return _of_run(run, selection, [folder.path, *earlier_runs(out)])


def _of_run(run: RunContext, selection: Selection, runs: Sequence[Path]) -> Preview:
    """What a run would do. ``runs``: those whose speeds are known."""
    plan, earlier, remaining = run.plan, run.earlier, Remaining.of(run)
    requested, restored = remaining.requested, remaining.restored
    contests = [Missing(titled(c, why), why) for c, why in requested.missing_contests()]
    kept = len(earlier.kept) - len(restored)
    asked = {case.id: len(plan.metrics_of(case)) for case in plan.cases}
    return Preview(
        resumed=Resumed(run.folder.path, kept, len(plan.trials), selection),
        decisions=[
            replace(d, record=None, why=RESTORED)
            if d.trial.id in restored
            else _with_checkpoint(d, run)
            for d in earlier.decisions
        ],
        skipped=remaining.skipped,
        memory=Part(requested.missing_static(), len(requested.static)),
        latency=Part(contests, len(requested.contests)),
        scores=len(to_score(run, remaining.trained)),
        scores_requested=sum(asked[record.case] for record in remaining.trained),
        warnings=[*advice(plan), *deviations(plan)],
        forecast=forecast(run, remaining, runs),
    )


def _with_checkpoint(decision: Decision, run: RunContext) -> Decision:
    """The decision to run a trial, which says whether a checkpoint of it exists.

    Whether the training continues from it is known once it is loaded: it may be of other settings.
    """
    saves = run.plan.suite.train.checkpoint is not None
    path = run.folder.path / checkpoint_file(decision.trial.id)
    if decision.record is not None or not saves or not path.is_file():
        return decision
    return replace(decision, why=f"{decision.why}; a checkpoint exists")
