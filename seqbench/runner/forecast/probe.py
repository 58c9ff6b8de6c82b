"""Speeds of cases from a few training steps of each, made in workers as in a run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from seqbench.executors.base import Job
from seqbench.plan.cases import Case
from seqbench.runner.context import RunContext
from seqbench.runner.forecast.speeds import CaseSpeed
from seqbench.training.data import prepared_file
from seqbench.training.timing import ProbePayload

#: Time limit in seconds for the steps of one case.
PROBE_LIMIT = 60.0

#: Seconds of training steps for each case; less if there are many cases.
PROBE_SECONDS, ALL_PROBES = 0.5, 20.0


def probe_cases(cases: Sequence[Case], run: RunContext) -> tuple[dict[str, CaseSpeed], list[str]]:
    """Make a few training steps of each case, as many at once as in training.

    Writes nothing.

    Args:
        cases: with prepared datasets.

    Returns:
        the speeds by case id, and for each case without one why.
    """
    seconds = min(PROBE_SECONDS, ALL_PROBES * run.executor.cores / max(1, len(cases)))
    jobs = [_job(case, seconds, run) for case in cases]
    names = {case.id: case.name for case in cases}
    speeds, problems = {}, []
    run.progress.phase("probe", jobs)
    with closing(run.executor.run(jobs, run.workspace, run.progress)) as outcomes:  # type: ignore[type-var]
        for outcome in outcomes:
            run.progress.ended(outcome)
            if outcome.status == "ok":
                found = outcome.result
                load = max(0.0, outcome.seconds - found["spent"])
                speeds[outcome.job.id] = CaseSpeed(
                    found["epoch"], load + found["test"], load, step=found["step"]
                )
            else:
                problems.append(f"{names[outcome.job.id]}: {outcome.reason}")
    return speeds, problems


def _job(case: Case, seconds: float, run: RunContext) -> Job:
    return Job(
        case.id,
        case.name,
        "seqbench.training.timing:time_epoch",
        ProbePayload(case.model, prepared_file(case.dataset), case.train, case.device, seconds),
        device=case.device,
        group=case.id,
        threads=case.train["threads"],
        limit=PROBE_LIMIT,
        memory=run.plan.suite.limits.memory,
    )
