"""What a run still has to do, if every trial succeeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from seqbench.plan.cases import Trial
from seqbench.records import TrialRecord
from seqbench.runner.context import RunContext
from seqbench.runner.phases.measure import Requested
from seqbench.runner.phases.prepare import Datasets
from seqbench.runner.phases.restore import to_restore
from seqbench.runner.phases.train import weights_of, why_not_run


@dataclass(frozen=True)
class Remaining:
    """What a run still has to do, if every trial succeeds.

    Args:
        skipped: why trials that are not done yet will not run, by id, as far as known by now.
        restored: ids of trials that run again because their weights were removed and are needed.
        trials: all that will be trained.
        trained: records of all successful trials in the end.
        requested: measurements, some of which may be available already.
    """

    skipped: Mapping[str, str]
    restored: AbstractSet[str]
    trials: Sequence[Trial]
    trained: Sequence[TrialRecord]
    requested: Requested

    @classmethod
    def of(cls, run: RunContext) -> Remaining:
        """What a run still has to do now."""
        datasets = Datasets.of(run)
        waiting = [trial for trial in run.plan.trials if trial.id not in run.earlier.kept]
        problems = [why_not_run(trial, run, datasets) for trial in waiting]
        skipped = {one.id: one.reason for one in problems if one is not None}
        able = [trial for trial in waiting if trial.id not in skipped]
        expected = {one.trial.id: one.expected_sha256 for one in run.earlier.decisions}
        trained = [record for record in run.earlier.kept.values() if record.status == "ok"]
        trained += [
            TrialRecord(
                trial.id, trial.case.id, trial.seed, "ok", weights=weights_of(trial),
                weights_sha256=expected.get(trial.id, ""),
            )
            for trial in able
        ]  # fmt: skip
        requested = Requested.of(run, trained)
        restored = {record.id for record in to_restore(run, trained, requested)}
        again = [
            trial for trial in run.plan.trials
            if trial.id in restored and why_not_run(trial, run, datasets) is None
        ]  # fmt: skip
        restored = {trial.id for trial in again}
        return cls(skipped, restored, [*able, *again], trained, requested)
