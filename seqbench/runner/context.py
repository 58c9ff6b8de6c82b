"""What the phases of a run share: the plan, the folder for results, the listener."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.devices.registry import device_for
from seqbench.executors.base import Activity, Attempt, Executor, Job, Listener, Outcome
from seqbench.runner.resume.earlier import Earlier
from seqbench.store.run_folder import RunFolder
from seqbench.training.data import cache_dir
from seqbench.workers.context import Workspace

if TYPE_CHECKING:
    from seqbench.plan.expand import Plan
    from seqbench.runner.forecast.work import Work


@dataclass(frozen=True)
class Progress(Listener):
    """A listener that also receives phases, outcomes and, before the first phase, the work left.

    Args:
        planned: None if nobody needs the work left, which takes a moment to find.
    """

    planned: Callable[[Work], None] | None = None
    phase: Callable[[str, Sequence[Activity]], None] = lambda name, activities: None
    ended: Callable[[Outcome], None] = lambda outcome: None
    advised: Callable[[Sequence[str]], None] = lambda lines: None


@dataclass(frozen=True)
class RunContext:
    """What the phases of a run share.

    Args:
        environment: the machine (see :func:`.describe_environment`).
        earlier: results of earlier attempts at this run.
        retry_failed: whether failed trials and measurements are retried.
        warned: groups of jobs of which one has warned the user, each with what about.
    """

    plan: Plan
    folder: RunFolder
    executor: Executor
    progress: Progress
    workspace: Workspace
    environment: Mapping[str, Any]
    earlier: Earlier = field(default_factory=Earlier)
    retry_failed: bool = False
    warned: set[tuple[str, str]] = field(default_factory=set)

    def warn(self, line: str) -> None:
        """Log a line and warn with it, also where warnings are turned into errors: results that
        have been earned are not lost for it.
        """
        self.folder.log(line)
        with contextlib.suppress(UserWarning):
            warnings.warn(line, stacklevel=3)

    @property
    def available(self) -> Mapping[str, str]:
        """The devices of the machine, each with its description."""
        devices: Mapping[str, str] = self.environment["devices"]
        return devices

    @property
    def all_cores(self) -> int:
        """What ``threads: all`` stands for: the cores of the machine, however many are used for
        training.
        """
        return int(self.environment["cores"])

    def do(
        self, phase: str, jobs: Sequence[Job], not_prepared: list[Outcome] | None = None
    ) -> Iterable[Outcome]:
        """Run the jobs of a phase, with progress and a line in the run's log for each.

        Args:
            not_prepared: receives, instead of the caller, the outcomes of jobs whose dataset has
                disappeared from the cache.
        """
        if not jobs:
            return
        self.begin(phase, jobs)
        listener = replace(self.progress, received=self.received)
        with closing(self.executor.run(jobs, self.workspace, listener)) as outcomes:  # type: ignore[type-var]
            for outcome in outcomes:
                if not_prepared is not None and outcome.result.get("not_prepared"):
                    not_prepared.append(outcome)
                    continue
                yield outcome
                self.end(outcome)  # once its record is written: an interrupt may come in between

    def begin(self, phase: str, activities: Sequence[Activity]) -> None:
        """Announce and log the start of a phase."""
        self.progress.phase(phase, activities)
        self.folder.log(f"{phase}: {len(activities)} to do")

    def received(self, activity: Activity, message: Mapping[str, Any]) -> None:
        """Pass a message on, log trainings that continue and cases that drop out while they are
        timed, and warn as jobs ask for it: once for each group, whose jobs are alike, and thing to
        warn about.
        """
        warning = (activity.group, message.get("about", ""))
        if "warn" in message and warning not in self.warned:
            self.warned.add(warning)
            self.warn(f"{activity.title}: {message['warn']}")
        if "continued" in message:
            self.folder.log(continuing(activity, message))
        if "out" in message:
            self._log(f"{message['out']}: {message['status']}", message["reason"])
        self.progress.received(activity, message)

    def end(self, outcome: Outcome) -> None:
        """Announce and log the outcome of an activity."""
        self.progress.ended(outcome)
        for attempt in (*outcome.attempts, outcome.attempt):
            self._log_attempt(outcome.job.title, attempt)

    def _log_attempt(self, title: str, attempt: Attempt) -> None:
        self._log(f"{title}: {attempt.status} after {attempt.seconds:.1f} s", attempt.reason)

    def _log(self, what: str, reason: str) -> None:
        self.folder.log(f"{what}: {reason}" if reason else what)


def continuing(activity: Activity, message: Mapping[str, Any]) -> str:
    """``continuing lstm on parity, seed 0 from step 1,200``, of a training with a checkpoint."""
    return f"continuing {activity.title} from step {message['continued']:,}"


def local_workspace(folder: Path, data_dir: Path | None = None) -> Workspace:
    """The workspace of a run on this machine, with the user's cache."""
    return Workspace(folder, cache_dir(), data_dir)


def reason_with_limit(outcome: Outcome, run: RunContext) -> str:
    """Why a job failed; if it ran out of memory, with the limit and the key that sets it."""
    job = outcome.job
    if outcome.status != "out_of_memory" or not isinstance(job, Job):
        return outcome.reason
    if not device_for(job.device).uses_host_memory:
        return outcome.reason
    memory = job.memory or run.executor.memory
    return f"{outcome.reason} (limits.memory: {memory / 2**20:,.0f} MiB)"
