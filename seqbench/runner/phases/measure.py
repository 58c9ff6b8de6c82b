"""Measures every trained case: cost and memory in parallel, then latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqbench.executors.base import Job, Outcome
from seqbench.machine import other_runs
from seqbench.measure.latency.contest import Contest
from seqbench.measure.payloads import TrainedModel
from seqbench.plan.cases import Case
from seqbench.plugins.loading import import_object
from seqbench.quantities import QUANTITIES, find
from seqbench.records import CaseRecord, Measurement, TrialRecord
from seqbench.runner.context import RunContext, reason_with_limit
from seqbench.runner.phases.contests import (
    TrainedCase,
    contests_of,
    note_other_runs,
    time_cases,
    why_time,
)
from seqbench.runner.phases.machine import diagnose_machine
from seqbench.runner.phases.prepare import do_with_datasets
from seqbench.runner.resume.decide_measurements import Ledger, Missing, fingerprints_of, job_key

#: Time limit in seconds for measuring one quantity of one case.
MEASURE_LIMIT = 600.0


@dataclass(frozen=True)
class Requested:
    """The requested measurements of the trained cases.

    Args:
        static: jobs that measure cost and memory.
        ledgers: the measurements that are already available, by case.
    """

    run: RunContext
    static: Sequence[Job]
    contests: Sequence[Contest]
    ledgers: Mapping[str, Ledger]

    @classmethod
    def of(cls, run: RunContext, trained: Sequence[TrialRecord]) -> Requested:
        """The requested measurements of the cases with successful trials.

        Args:
            trained: records of the successful trials; ``weights_sha256`` is "" for trials that
                are not trained yet.
        """
        cases = _trained_cases(run, trained)
        static = [job for one in cases for job in _static_jobs(one, run)]
        contests = contests_of(cases, run)
        ledgers = {
            one.case.id: Ledger(
                run.folder,
                run.earlier.cases.get(one.case.id, CaseRecord(one.case.id)),
                fingerprints_of(one.case.id, one.digests, static, contests),
                retry_failed=run.retry_failed,
            )
            for one in cases
        }
        return cls(run, static, contests, ledgers)

    def missing_static(self) -> list[Missing]:
        """Cost and memory that are not measured yet."""
        whys = [(job, self.ledgers[job.group].why(job_key(job))) for job in self.static]
        return [Missing(job, why) for job, why in whys if why is not None]

    def missing_contests(self) -> list[tuple[Contest, str]]:
        """Contests that are not done, each with the reason. If one case of a contest has to be
        timed, all of its cases are.
        """
        whys = [(one, why_time(one, self.ledgers, self.run.folder)) for one in self.contests]
        return [(contest, why) for contest, why in whys if why is not None]


def measure_cases(run: RunContext, trained: Sequence[TrialRecord]) -> None:
    """Measure cost and memory in parallel; then latency, with nothing else running."""
    requested = Requested.of(run, trained)
    ledgers = requested.ledgers
    missing = {missing.activity.id for missing in requested.missing_static()}
    jobs = [job for job in requested.static if job.id in missing]
    for outcome in do_with_datasets(run, "memory", jobs):
        ledgers[outcome.job.group].enter(job_key(outcome.job), _measurements(outcome, run))
    contests = requested.missing_contests()
    if contests:
        with other_runs.timing(run.workspace.cache) as mark:
            note_other_runs(mark, run, all_new=len(contests) == len(requested.contests))
            diagnose_machine(run)
            time_cases(contests, ledgers, run)
            note_other_runs(mark, run)
    for ledger in ledgers.values():
        ledger.settle()
    run.folder.keep_contests(contest.id for contest in requested.contests)


def _trained_cases(run: RunContext, trained: Sequence[TrialRecord]) -> list[TrainedCase]:
    """The cases with successful trials, with the weights of each seed.

    Of all resamples of a dataset only the first that has some: the models of the others are the
    same but for their weights.
    """
    by_case: dict[str, list[TrialRecord]] = {}
    for record in sorted(trained, key=lambda record: record.seed):
        by_case.setdefault(record.case, []).append(record)
    first: dict[str, Case] = {}
    for case in run.plan.cases:
        if case.id in by_case:
            first.setdefault(case.row, case)
    return [
        TrainedCase(
            case,
            tuple(TrainedModel.of(case, record) for record in records),
            tuple(record.weights_sha256 for record in records),
        )
        for case in first.values()
        for records in [by_case[case.id]]
    ]


def _static_jobs(trained: TrainedCase, run: RunContext) -> list[Job]:
    """The jobs that measure one case by itself, such as its cost and its memory."""
    case, measure = trained.case, run.plan.suite.measure
    return [
        Job(
            f"{case.id}/{key}",
            f"{case.name}: {key.replace('/', ' in ')}",
            quantity.measured,
            payload,
            log=f"logs/{case.id}-memory.log",
            device=case.device,
            group=case.id,
            limit=MEASURE_LIMIT,
            memory=run.plan.suite.limits.memory,
        )
        for quantity in sorted(QUANTITIES.values(), key=lambda one: one.name)
        if quantity.requests
        for key, payload in import_object(quantity.requests)(measure, trained.subjects[0]).items()
    ]


def _measurements(outcome: Outcome, run: RunContext) -> list[Measurement]:
    if outcome.status == "ok":
        return [Measurement(**found) for found in outcome.result["measurements"]]
    quantity = outcome.job.id.split("/")[1]
    reason = reason_with_limit(outcome, run)
    return [Measurement(quantity, find(quantity).unit, status=outcome.status, reason=reason)]
