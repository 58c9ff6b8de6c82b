"""Which trials' answers to the test split are kept, within the suite's limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from seqbench.plan.cases import Case, Trial
from seqbench.runner.context import RunContext
from seqbench.training.data import answers_size, read_prepared


@dataclass(frozen=True)
class AnswerLimit:
    """The trials whose answers are kept, decided before any is trained: it depends on the plan and
    its datasets only, and not on which trials end first or are there already.

    Args:
        kept: ids of the trials.
        reason: why the answers of others are not; ``""`` if the suite keeps none.
    """

    kept: frozenset[str]
    reason: str = ""

    @classmethod
    def of(cls, run: RunContext) -> AnswerLimit:
        """The decision for a run whose datasets are prepared.

        Trials with the first seed of each case come first: answers of different models to the same
        sequences can be compared. One that does not fit is left out, and a smaller one may follow.
        """
        limit, trials = run.plan.suite.keep.answers, run.plan.trials
        if isinstance(limit, str):
            return cls(frozenset(trial.id for trial in trials if limit == "all"))
        sizes = {case.id: _size(case, run) for case in run.plan.cases}
        kept, left = set[str](), limit
        for trial in _in_order(trials):
            if sizes[trial.case.id] <= left:
                kept.add(trial.id)
                left -= sizes[trial.case.id]
        return cls(frozenset(kept), f"the limit is {limit / 1e6:,.6g} MB a run (keep.answers)")

    def file(self, trial: str) -> str:
        """The file for a trial's answers, in the run's folder; ``""`` if they are not kept."""
        return answers_file(trial) if trial in self.kept else ""

    def why_not(self, trial: str) -> str:
        """Why the limit leaves out a trial; ``""`` if it does not."""
        return "" if trial in self.kept else self.reason


def answers_file(trial: str) -> str:
    """The answers of a trial, in the run's folder."""
    return f"answers/{trial}.npz"


def _in_order(trials: Sequence[Trial]) -> list[Trial]:
    """The first seeds of all cases, then the second ones, …"""
    seen: Counter[str] = Counter()
    numbers = {}
    for trial in trials:
        numbers[trial.id] = seen[trial.case.id]
        seen[trial.case.id] += 1
    return sorted(trials, key=lambda trial: numbers[trial.id])


def _size(case: Case, run: RunContext) -> int:
    """Bytes of a trial's answers before compression; 0 if the model does not fit the dataset."""
    misfit = case.misfit(read_prepared(case.dataset, run.workspace.cache))
    return 0 if misfit else answers_size(case.dataset, run.workspace.cache)
