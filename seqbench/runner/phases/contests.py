"""Latency: groups the cases into contests, and runs one contest after the other."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from seqbench.executors.base import Job, Outcome, utc_now
from seqbench.machine import other_runs
from seqbench.measure.latency.checkpoint import Checkpoint
from seqbench.measure.latency.contest import Contest, ContestCase, run_contest
from seqbench.measure.payloads import TimingPayload, TimingSettings, TrainedModel
from seqbench.plan.cases import Case
from seqbench.records import fingerprint
from seqbench.report.text import counted
from seqbench.runner.context import RunContext
from seqbench.runner.phases.prepare import prepare_again
from seqbench.runner.resume.decide_measurements import Ledger
from seqbench.store.run_folder import RunFolder
from seqbench.suite.keys import Latency, TrainingTime
from seqbench.workers.conversation import Conversation

#: Maximum number of processes that wait for their next block; each takes memory and files.
MOST_PROCESSES = 60
#: Maximum number of cases that a reason names.
MOST_NAMED = 3


@dataclass(frozen=True)
class TrainedCase:
    """A case with its trained models, one for each successful seed.

    Args:
        digests: SHA-256 of their weights; "" for weights that are not trained yet.
    """

    case: Case
    subjects: tuple[TrainedModel, ...]
    digests: tuple[str, ...]


def contests_of(cases: Sequence[TrainedCase], run: RunContext) -> list[Contest]:
    """One contest per device, and one for training steps if they are requested, or if the suite has
    a target; split if there are too many cases.
    """
    measure = run.plan.suite.measure
    kinds = {}
    if measure.latency is not None:
        kinds["latency"] = _settings(measure.latency, run)
    training = measure.training or (measure.latency if run.plan.suite.target else None)
    in_steps = _trained_in_steps(cases)
    if training is not None and in_steps:
        kinds["training"] = _training_settings(training, in_steps)
    contests = []
    for device in dict.fromkeys(one.case.device for one in cases):
        of_device = [one for one in cases if one.case.device == device]
        for kind, settings in kinds.items():
            some = of_device if kind == "latency" else _trained_in_steps(of_device)
            for first in range(0, len(some), MOST_PROCESSES):
                name = f"{kind}-{device.replace(':', '-')}" + (f"-{first}" if first else "")
                group = some[first : first + MOST_PROCESSES]
                contests.append(_contest(name, device, group, settings, run))
    return contests


def _trained_in_steps(cases: Sequence[TrainedCase]) -> list[TrainedCase]:
    """The cases without estimators."""
    return [one for one in cases if not one.case.model.is_estimator]


def _settings(latency: Latency, run: RunContext) -> TimingSettings:
    threads = [run.all_cores if number == "all" else int(number) for number in latency.threads]
    return TimingSettings(
        budget=latency.budget,
        batch_sizes=latency.batch_sizes,
        seq_lens=latency.seq_lens.steps,
        own_length=not latency.seq_lens.only,
        as_data=latency.seq_lens.as_data,
        threads=tuple(dict.fromkeys(threads)),
        runtimes=latency.runtimes,
        processes=latency.processes,
        warm_up=latency.warm_up,
        precision=latency.precision,
        training_step=False,
        plugin_runtimes={runtime.name: runtime.choice for runtime in run.plan.runtimes},
    )


def _training_settings(
    timing: TrainingTime | Latency, cases: Sequence[TrainedCase]
) -> TimingSettings:
    """How a training step is timed: as latency is, but with the settings of each training.

    Args:
        timing: the suite's; of a suite that has a target, but does not request step times, those of
            latency.
    """
    return TimingSettings(
        budget=timing.budget,
        batch_sizes=(),
        seq_lens=(),
        threads=tuple(sorted({int(one.case.train["threads"]) for one in cases})),
        runtimes=(),
        processes=timing.processes,
        warm_up=timing.warm_up,
        precision=timing.precision,
        training_step=True,
    )


def _contest(
    name: str,
    device: str,
    group: Sequence[TrainedCase],
    settings: TimingSettings,
    run: RunContext,
) -> Contest:
    basis = [settings.identity(), {one.case.id: one.digests for one in group}]
    what = "training steps of " if settings.training_step else ""
    return Contest(
        name,
        f"timing {what}{counted(len(group), 'case')} on {device}, interleaved",
        device=device,
        cases=tuple(ContestCase(o.case.id, o.case.name, o.subjects) for o in group),
        settings=settings,
        folder=run.folder.path.absolute(),
        cores=run.executor.cores,
        limit=run.plan.suite.limits.time,
        checkpoint=Checkpoint(
            run.folder.unfinished(name).absolute(), fingerprint(basis), run.retry_failed
        ),
    )


def why_time(contest: Contest, ledgers: Mapping[str, Ledger], folder: RunFolder) -> str | None:
    """Why a contest has to run: "" for the first time, None if it is done."""
    whys = {case.label: ledgers[case.id].why(contest.id) for case in contest.cases}
    again = [
        f"{label} {why or 'is not measured yet'}" for label, why in whys.items() if why is not None
    ]
    if not again:
        met = {ledgers[case.id].met(contest.id) for case in contest.cases}
        if met == {folder.compared(contest.id)}:
            return None
        again = ["the comparisons are missing"]
    begun = contest.checkpoint.read()[1]
    if begun:
        return "resuming after 1 process" if begun == 1 else f"resuming after {begun} processes"
    if set(whys.values()) == {""}:
        return ""
    more = f", and {len(again) - MOST_NAMED} more" if len(again) > MOST_NAMED else ""
    return f"again: {', '.join(again[:MOST_NAMED])}{more}"


def time_cases(
    contests: Iterable[tuple[Contest, str]], ledgers: Mapping[str, Ledger], run: RunContext
) -> None:
    """Run one contest after the other, with nothing else running, and record the results."""
    for contest, why in contests:
        activity = titled(contest, why)
        run.begin("latency", [activity])
        clock, started = time.monotonic(), utc_now()
        run.progress.started(activity)
        result = run_contest(
            contest,
            _Opener(contest, run),
            lambda message, activity=activity: run.received(activity, message),  # type: ignore[misc]
            prepare_again=partial(prepare_again, run),
        )
        for case, found in result.measurements.items():
            ledgers[case].enter(contest.id, found, met=result.met)
        # Last: until everything is written, the contest counts as not done.
        run.folder.write_comparisons(contest.id, result.met, result.comparisons)
        seconds = time.monotonic() - clock
        run.end(Outcome(activity, "ok", started=started, seconds=seconds))


def titled(contest: Contest, why: str) -> Contest:
    """The contest, with the reason why it runs in its title."""
    if not why:
        return contest
    return dataclasses.replace(contest, title=f"{contest.title} ({why})")


class _Opener:
    """Starts the timing workers of a contest, through the run's executor."""

    def __init__(self, contest: Contest, run: RunContext):
        self._contest, self._run = contest, run

    def __call__(self, payload: TimingPayload, *, log: str) -> Conversation:
        job = Job(
            self._contest.id,
            self._contest.title,
            "seqbench.measure.latency.sampler:answer_requests",
            payload,
            log=log,
            device=self._contest.device,
            threads=max(self._contest.settings.threads),
            memory=self._run.plan.suite.limits.memory,
        )
        return self._run.executor.open(job, self._run.workspace)


def note_other_runs(mark: other_runs.Mark, run: RunContext, *, all_new: bool = False) -> None:
    """Warn, and record in the environment, that another run was timing at the same time.

    Args:
        all_new: whether every contest is timed now, so that earlier disturbances do not matter.
    """
    known = run.folder.environment()
    before = bool(known.get("disturbed")) and not all_new
    if mark.others() and not before:
        run.folder.log(other_runs.WARNING)
        warnings.warn(other_runs.WARNING, stacklevel=2)
    run.folder.write_environment({**known, "disturbed": before or mark.others()})
