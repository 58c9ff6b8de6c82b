"""Removes the weights, samples and answers that the suite does not keep, at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seqbench.quantities import find_metric
from seqbench.records import TrialRecord
from seqbench.runner.context import RunContext
from seqbench.runner.phases.answers import AnswerLimit, answers_file
from seqbench.suite.keys import Keep
from seqbench.summary.overview import failures


def remove_unkept(run: RunContext) -> None:
    """Remove what the key ``keep`` of the suite does not keep, unless something failed: retrying
    it needs the weights. The folder records what was removed.
    """
    run.folder.removed.forget_restored()
    keep = run.plan.suite.keep
    limit = AnswerLimit.of(run)  # an earlier plan may have kept others
    answers = [answers_file(one.id) for one in run.plan.trials if one.id not in limit.kept]
    answers = [name for name in answers if (run.folder.path / name).exists()]
    if keep == Keep() and not answers:
        return
    planned = {trial.id for trial in run.plan.trials}
    trials = [record for record in run.folder.trials() if record.id in planned]
    ids = {case.id for case in run.plan.cases}
    cases = [record for record in run.folder.cases() if record.case in ids]
    if len(trials) < len(planned) or failures(trials, cases):
        line = (
            f"{run.folder.path}: not everything succeeded, so no weights, samples or answers are "
            "removed; `seqbench rm` with --weights, --samples or --answers removes them"
        )
        run.warn(line)
        return
    files = [*_weights(trials, keep), *answers]
    if keep.samples == "none":
        files += {one.samples for case in cases for one in case.measurements if one.samples}
    size = run.folder.removed.remove(files)
    if size:
        run.folder.log(f"removed what the suite does not keep: {size / 2**20:,.2f} MiB")


def _weights(trials: Sequence[TrialRecord], keep: Keep) -> Iterator[str]:
    """The weights to remove."""
    if keep.weights == "all":
        return
    by_case: dict[str, list[TrialRecord]] = {}
    for record in trials:
        if record.status == "ok":
            by_case.setdefault(record.case, []).append(record)
    for records in by_case.values():
        best = best_of(records) if keep.weights == "best" else None
        yield from (record.weights for record in records if record is not best)


def best_of(records: Sequence[TrialRecord]) -> TrialRecord:
    """The trial with the best figure of its metric; of equal ones, that of the lowest seed."""
    better = max if find_metric(records[0]).higher_is_better else min
    by_seed = sorted(records, key=lambda record: record.seed)
    return better(by_seed, key=lambda record: record.metrics["value"])
