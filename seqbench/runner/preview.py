"""What resuming a run would do, without doing it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.plugins.discovery import load_plugins
from seqbench.records import TrialRecord
from seqbench.runner.context import RunContext, dataset_key
from seqbench.runner.phases.machine import machine_environment
from seqbench.runner.phases.measure import Measuring
from seqbench.runner.phases.train import weights_file
from seqbench.runner.resume.earlier import Again, Resumed, read_earlier
from seqbench.runner.start import plan_suite
from seqbench.suite.selection import Selection

if TYPE_CHECKING:
    from seqbench.runner.context import Progress
    from seqbench.runner.resume.measurements import Missing
    from seqbench.runner.resume.trials import Decision


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


def preview(suite: Path, selection: Selection, again: Again, progress: Progress) -> Intentions:
    """What going on with a run would do. Does nothing.

    Raises:
        UsageError, StoreError: as :func:`start` would.
    """
    from seqbench.executors.local import LocalExecutor
    from seqbench.runner.context import RunContext
    from seqbench.runner.phases.score import to_score
    from seqbench.runner.resume.check import as_before

    folder, executor, registry = again.folder, LocalExecutor(), load_plugins()
    selection = as_before(selection, folder)
    plan_suite(suite, selection, registry)
    folder.check_free()
    environment = machine_environment(executor, progress)
    plan = plan_suite(suite, selection, registry, environment["devices"])
    earned = read_earlier(again, plan, selection, environment)
    work = RunContext(
        plan, folder, executor, progress, None, environment["devices"], earned.trials,
        earned.cases, earned.earlier, again.retry_failed,
    )  # fmt: skip
    asked = intended(work, earned.decisions)
    scores = to_score(work, asked.trained)
    return Intentions(
        Resumed(folder.path, len(earned.trials), len(plan.trials), selection), earned.decisions,
        asked.missing_static(), len(asked.static),
        len(scores), len(asked.trained) * len(plan.metrics),
        asked.missing_contests(), len(asked.contests),
    )  # fmt: skip


def intended(work: RunContext, decisions: Iterable[Decision]) -> Measuring:
    """What is to be measured once every trial that is not kept has been trained."""
    trained = [record for record in work.kept.values() if record.status == "ok"]
    for decision in decisions:
        trial = decision.trial
        if trial.id not in work.kept and trial.case.device in work.available:
            trained.append(
                TrialRecord(
                    trial.id, trial.case.id, trial.seed, "ok", weights=weights_file(trial.id),
                    weights_sha256=decision.comes_out,
                )
            )  # fmt: skip
    return Measuring(work, trained, {dataset_key(case.dataset): "" for case in work.plan.cases})
