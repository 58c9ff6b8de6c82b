"""Measures every case that trained: cost and memory side by side, then latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqbench.executors.base import Job, Outcome
from seqbench.machine import other_runs
from seqbench.measure.latency.contest import Contest
from seqbench.measure.payloads import CostPayload, MemoryPayload, Mode, TrainedModel
from seqbench.plan.cases import Case
from seqbench.quantities import find
from seqbench.records import CaseRecord, Measurement, TrialRecord
from seqbench.runner.context import RunContext, reason_with_limit
from seqbench.runner.phases.contests import (
    TrainedCase,
    contests_of,
    note_other_runs,
    time_cases,
    why_time,
)
from seqbench.runner.phases.machine import check_machine
from seqbench.runner.resume.measurements import Ledger, Missing, fingerprints_of, job_key
from seqbench.training.data import cache_dir, prepared_file

#: Seconds that measuring cost or memory of one case may take.
MEASURE_LIMIT = 600.0
MODES: tuple[Mode, ...] = ("inference", "training")


@dataclass(frozen=True)
class Requested:
    """What a suite asks to be measured of the cases that trained.

    Args:
        static: jobs that measure cost and memory.
        ledgers: for each case what of it is done.
    """

    run: RunContext
    static: Sequence[Job]
    contests: Sequence[Contest]
    ledgers: Mapping[str, Ledger]

    @classmethod
    def of(cls, run: RunContext, trained: Sequence[TrialRecord]) -> Requested:
        """What is asked for of the cases of successful trials.

        Args:
            trained: records of the successful trials; those yet to be trained have no
                ``weights_sha256``.
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
        """Contests that are not done, each with the reason: if one case has to be timed, so have
        all that it is compared with.
        """
        whys = [(one, why_time(one, self.ledgers, self.run.folder)) for one in self.contests]
        return [(contest, why) for contest, why in whys if why is not None]


def measure_cases(run: RunContext, trained: Sequence[TrialRecord]) -> None:
    """Cost and memory side by side; then latency, with nothing else running."""
    requested = Requested.of(run, trained)
    ledgers = requested.ledgers
    jobs = {missing.activity.id: missing.activity for missing in requested.missing_static()}
    for outcome in run.do("memory", [job for job in requested.static if job.id in jobs]):
        key = outcome.job.id.partition("/")[2]
        ledgers[outcome.job.group].enter(key, _measurements(outcome, run))
    contests = requested.missing_contests()
    if contests:
        with other_runs.timing(cache_dir()) as mark:
            note_other_runs(mark, run, anew=len(contests) == len(requested.contests))
            check_machine(run)
            time_cases(contests, ledgers, run)
            note_other_runs(mark, run)
    for ledger in ledgers.values():
        ledger.settle()
    run.folder.keep_contests(contest.id for contest in requested.contests)


def _trained_cases(run: RunContext, trained: Sequence[TrialRecord]) -> list[TrainedCase]:
    """The cases that trained, with the weights of each of their seeds."""
    by_case: dict[str, list[TrialRecord]] = {}
    for record in sorted(trained, key=lambda record: record.seed):
        by_case.setdefault(record.case, []).append(record)
    return [
        TrainedCase(
            case,
            _subject(case, records[0].weights),
            tuple(record.weights for record in records),
            tuple(record.weights_sha256 for record in records),
        )
        for case in run.plan.cases
        for records in [by_case.get(case.id, [])]
        if records
    ]


def _subject(case: Case, weights: str) -> TrainedModel:
    return TrainedModel(case.model, prepared_file(case.dataset), case.device, weights, case.train)


def _static_jobs(trained: TrainedCase, run: RunContext) -> list[Job]:
    """Cost of a case and, if asked for, its memory in inference and in training."""
    measure, case = run.plan.suite.measure, trained.case
    lengths = tuple(measure.latency.seq_lens) if measure.latency is not None else ()
    cost = CostPayload(trained.subject, lengths)
    jobs = [_static_job(run, case, "cost", function=find("cost").measured, payload=cost)]
    if measure.memory is not None:
        jobs += [
            _static_job(
                run,
                case,
                f"memory/{mode}",
                function=find("memory").measured,
                payload=MemoryPayload(trained.subject, mode, measure.memory.batch_size, lengths),
            )
            for mode in MODES
        ]
    return jobs


def _static_job(
    run: RunContext, case: Case, key: str, *, function: str, payload: CostPayload | MemoryPayload
) -> Job:
    return Job(
        f"{case.id}/{key}",
        f"{case.name}: {key.replace('/', ' in ')}",
        function,
        payload,
        log=f"logs/{case.id}-memory.log",
        device=case.device,
        group=case.id,
        limit=MEASURE_LIMIT,
        memory=run.plan.suite.limits.memory,
    )


def _measurements(outcome: Outcome, run: RunContext) -> list[Measurement]:
    if outcome.status == "ok":
        return [Measurement(**found) for found in outcome.result["measurements"]]
    quantity = outcome.job.id.split("/")[1]
    reason = reason_with_limit(outcome, run)
    return [Measurement(quantity, find(quantity).unit, status=outcome.status, reason=reason)]
