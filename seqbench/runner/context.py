"""What the phases of a run share: the plan, where results go, who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.executors.base import Executor, Job, Listener, Outcome
from seqbench.plugins.choice import Choice
from seqbench.records import CaseRecord, TrialRecord
from seqbench.store.run_folder import RunFolder
from seqbench.training.data import prepared_path

if TYPE_CHECKING:
    from seqbench.plan.expand import Plan


@dataclass(frozen=True)
class Progress(Listener):
    """A listener that is told of phases and their outcomes as well."""

    phase: Callable[[str, Sequence[Job]], None] = lambda name, jobs: None
    ended: Callable[[Outcome], None] = lambda outcome: None


@dataclass(frozen=True)
class RunContext:
    """What the phases of a run share.

    Args:
        kept, measured: records of an earlier attempt at this run, by trial and by case; what they
            hold is not done again.
        earlier: records of those that are done again, by trial.
        retry_failed: whether measurements that did not end well are.
    """

    plan: Plan
    folder: RunFolder
    executor: Executor
    progress: Progress
    data_dir: Path | None
    available: Mapping[str, str]
    kept: Mapping[str, TrialRecord] = field(default_factory=dict)
    measured: Mapping[str, CaseRecord] = field(default_factory=dict)
    earlier: Mapping[str, TrialRecord] = field(default_factory=dict)
    retry_failed: bool = False

    def do(self, phase: str, jobs: Sequence[Job]) -> Iterable[Outcome]:
        if not jobs:
            return
        self.progress.phase(phase, jobs)
        self.folder.log(f"{phase}: {len(jobs)} to do")
        listener = replace(self.progress, told=self._told)
        with closing(self.executor.run(jobs, listener)) as outcomes:  # type: ignore[type-var]
            for outcome in outcomes:
                self.progress.ended(outcome)
                last = {name: getattr(outcome, name) for name in ("status", "reason", "seconds")}
                for attempt in (*outcome.attempts, last):
                    self._log_end(outcome.job.title, **attempt)
                yield outcome

    def _told(self, job: Job, message: Mapping[str, Any]) -> None:
        if "out" in message:
            self._log_end(message["out"], message["status"], message["reason"])
        self.progress.told(job, message)

    def _log_end(self, title: str, status: str, reason: str, seconds: float | None = None) -> None:
        after = "" if seconds is None else f" after {seconds:.1f} s"
        self.folder.log(f"{title}: {status}{after}" + f": {reason}" * bool(reason))

    def log(self, name: str) -> Path:
        return self.folder.path / "logs" / f"{name}.log"


def explained_reason(outcome: Outcome, work: RunContext) -> str:
    """Why a job did not end well, with the limit that it met and where that is set."""
    if outcome.status == "timeout" and outcome.job.kind == "train":
        return f"{outcome.reason} (limits.time)"
    if outcome.status == "out_of_memory" and outcome.job.device == "cpu":
        memory = outcome.job.memory or work.executor.memory
        return f"{outcome.reason} (limits.memory: {memory / 2**20:,.0f} MiB)"
    return outcome.reason


def count(things: Sized, name: str) -> str:
    """``1 case``, ``2 cases``."""
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def dataset_key(choice: Choice) -> str:
    """Names a dataset with its parameters within this run."""
    return prepared_path(choice, Path()).name
