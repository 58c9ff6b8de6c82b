"""The work left in a run with its durations, from measured speeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from seqbench.devices.registry import device_for
from seqbench.executors.base import Job
from seqbench.measure.latency.contest import Contest
from seqbench.measure.latency.protocol import BLOCK_SECONDS, MIN_CALLS, MIN_ROUNDS
from seqbench.plan.cases import Trial
from seqbench.records import TrialRecord
from seqbench.runner.context import RunContext
from seqbench.runner.forecast.speeds import CaseSpeed
from seqbench.runner.forecast.work import LOAD_SECONDS, PlannedContest, PlannedJob, Work
from seqbench.runner.phases.machine import DIAGNOSIS_SECONDS, doctor_job
from seqbench.runner.phases.score import to_score
from seqbench.runner.phases.train import training_job
from seqbench.runner.remaining import Remaining
from seqbench.training.data import is_prepared, prepared_file
from seqbench.training.periods import Periods

#: Seconds for preparing a dataset, of which nothing is known beforehand: a computed one takes less,
#: one that is downloaded takes longer, but reports its progress.
PREPARE_SECONDS = 1.0

#: Seconds of a diagnosis beside the requested ones.
DOCTOR_SECONDS = 0.5

#: A metric passes once over the test split: seconds as a fraction of those of an epoch.
SCORE_FRACTION = 0.05

#: How much longer than the minimum a warm-up takes until times are steady.
WARM_UP_FACTOR = 1.3


def unprepared(run: RunContext) -> dict[str, str]:
    """The labels of the datasets that will be prepared, by the name of the prepared file."""
    return {
        prepared_file(case.dataset): case.dataset_label
        for case in run.plan.cases
        if not case.misfit() and not is_prepared(case.dataset, run.workspace.cache)
    }


def work_of(run: RunContext, remaining: Remaining, speeds: Mapping[str, CaseSpeed]) -> Work:
    """The work left in a run, with its durations.

    Args:
        speeds: by case id, as far as known.
    """
    requested = remaining.requested
    contests = [contest for contest, _ in requested.missing_contests()]
    cores = run.executor.cores
    doctor = [doctor_job(run.executor, DIAGNOSIS_SECONDS, after_training=True)] if contests else []
    loads = {case: speed.load for case, speed in speeds.items()}
    jobs = {
        "prepare": [PlannedJob(file, file, PREPARE_SECONDS) for file in unprepared(run)],
        "train": [_trial(trial, run, speeds.get(trial.case.id)) for trial in remaining.trials],
        "memory": [
            PlannedJob(job.id, job.group, loads.get(job.group, LOAD_SECONDS), 1, _device(job))
            for job in (one.activity for one in requested.missing_static())
            if isinstance(job, Job)
        ],
        "doctor": [_planned(job, DIAGNOSIS_SECONDS + DOCTOR_SECONDS) for job in doctor],
        "score": list(_scores(run, remaining.trained, speeds)),
    }
    return Work(jobs, [_contest(one, speeds, cores) for one in contests], cores)


def _trial(trial: Trial, run: RunContext, speed: CaseSpeed | None) -> PlannedJob:
    periods = 0 if trial.case.model.is_estimator else Periods.count(trial.case.train)
    seconds = None if speed is None else speed.trial(periods)
    return _planned(training_job(trial, run), seconds)


def _scores(
    run: RunContext, trained: Iterable[TrialRecord], speeds: Mapping[str, CaseSpeed]
) -> Iterator[PlannedJob]:
    trials = {trial.id: trial for trial in run.plan.trials}
    for record, metric in to_score(run, trained):
        job = training_job(trials[record.id], run)
        speed = speeds.get(record.case)
        seconds = LOAD_SECONDS if speed is None else speed.load + SCORE_FRACTION * speed.epoch
        planned = _planned(job, seconds)
        yield PlannedJob(
            f"{record.id}-{metric.id}", job.group, seconds, planned.cores, planned.device
        )


def _planned(job: Job, seconds: float | None) -> PlannedJob:
    cores = job.threads if device_for(job.device).shares_cores else 1
    return PlannedJob(job.id, job.group, seconds, cores, _device(job))


def _device(job: Job) -> str:
    return "" if device_for(job.device).shares_cores else job.device


def _contest(contest: Contest, speeds: Mapping[str, CaseSpeed], cores: int) -> PlannedContest:
    settings, cases = contest.settings, len(contest.cases)
    own = [speeds.get(case.id) for case in contest.cases]
    known = [speed for speed in own if speed is not None]
    load = sum(speed.load for speed in known) if len(known) == cases else None
    used = [speed.processes[contest.kind] for speed in known if contest.kind in speed.processes]
    at_once = 1
    if device_for(contest.device).shares_cores:
        at_once = max(1, cores // max(settings.threads))
    return PlannedContest(
        contest.id,
        cases,
        load,
        warm_up=WARM_UP_FACTOR * settings.warm_up * math.ceil(cases / at_once),
        timed=_timed(contest, [0.0 if speed is None else speed.step for speed in own]),
        processes=settings.processes,
        likely=max(used) if len(used) == cases else settings.processes,
        done=contest.checkpoint.read()[1],
        precision=settings.precision,
    )


def _timed(contest: Contest, steps: Sequence[float]) -> float:
    """Seconds for timing one process of every case; at least a few rounds (protocol.py).

    Args:
        steps: seconds of a training step of each case; 0 if unknown.
    """
    settings = contest.settings
    seconds = settings.budget / settings.processes
    lengths = settings.own_length + len(settings.seq_lens) + settings.as_data
    axes = (settings.batch_sizes, settings.threads, settings.runtimes)
    windows = settings.window_fraction * seconds
    if settings.training_step:
        rounds = [max(BLOCK_SECONDS, MIN_CALLS * step) for step in steps]
    else:
        rounds = [math.prod([lengths, *map(len, axes)]) * BLOCK_SECONDS] * len(steps)
    return len(steps) * windows + max(len(steps) * (seconds - windows), MIN_ROUNDS * sum(rounds))
