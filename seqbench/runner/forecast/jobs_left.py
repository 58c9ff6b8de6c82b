"""The time left for the jobs of one phase, learned from those that have started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from seqbench.runner.forecast.schedule import makespan
from seqbench.runner.forecast.work import PlannedJob

#: Only the last jobs of a group count: speeds change when fewer jobs run at once.
LAST = 3

#: A job's own speed is known once it has made this fraction of progress.
ENOUGH = 0.02

#: A job that takes longer than expected is expected to take this fraction longer still.
OVERDUE = 0.1


@dataclass
class _Running:
    """A running job: when it started, and its first and last report of progress."""

    job: PlannedJob
    started: float
    first: tuple[float, float] | None = None
    last: tuple[float, float] | None = None

    def report(self, fraction: float, now: float) -> None:
        if self.first is None or self.last is None or fraction < self.last[1]:
            self.first = (now, fraction)
        self.last = (now, fraction)

    def projection(self) -> float | None:
        """Its duration at its own speed, until all progress is made; None if that is not known
        yet.
        """
        if self.first is None or self.last is None or self.last[1] - self.first[1] < ENOUGH:
            return None
        rate = (self.last[0] - self.first[0]) / (self.last[1] - self.first[1])
        return self.last[0] - self.started + (1 - self.last[1]) * rate

    def left(self, expected: float, now: float, *, rest: float) -> float:
        """Seconds left, given the duration expected of its group.

        Args:
            rest: what jobs do after all progress is made, as a fraction of the time before.
        """
        own = self.projection()
        if own is not None and self.last is not None:
            expected = self.last[1] * (1 + rest) * own + (1 - self.last[1]) * expected
        spent = now - self.started
        return max(expected - spent, OVERDUE * spent)


class JobsLeft:
    """The jobs of one phase that have not ended."""

    def __init__(self, jobs: Sequence[PlannedJob], cores: int):
        self._cores = cores
        self._waiting = {job.id: job for job in jobs}
        self._running: dict[str, _Running] = {}
        self._took: dict[str, list[float]] = {}
        self._rests: list[float] = []
        self._prior: dict[str, float] = {}
        self._turns: dict[str, int] = {}
        self.plan(jobs)

    def plan(self, jobs: Sequence[PlannedJob]) -> None:
        """Replace the waiting jobs; durations known beforehand are kept."""
        self._waiting = {job.id: job for job in jobs}
        turns: dict[str, int] = {}
        for job in jobs:
            self._turns[job.id] = turns[job.group] = turns.get(job.group, -1) + 1
            if job.seconds is not None:
                self._prior.setdefault(job.group, job.seconds)

    def start(self, name: str, now: float) -> None:
        """A job starts; again, if it was killed and is retried."""
        job = self._waiting.pop(name, None) or self._job(name)
        if job is not None:
            self._running[name] = _Running(job, now)

    def report(self, name: str, fraction: float, now: float) -> None:
        """A job has done a fraction of its work."""
        if name in self._running:
            self._running[name].report(fraction, now)

    def end(self, name: str, seconds: float, *, ok: bool) -> None:
        """A job has ended; only successful ones show how long others take."""
        job = self._waiting.pop(name, None) or self._job(name)
        running = self._running.pop(name, None)
        if not ok or job is None:
            return
        self._took.setdefault(job.group, []).append(seconds)
        own = None if running is None else running.projection()
        if own:
            self._rests.append(max(0.0, seconds / own - 1))

    def mean_seconds(self) -> float | None:
        """Mean duration of the jobs that have ended; None if none has."""
        took = [seconds for some in self._took.values() for seconds in some]
        return mean(took) if took else None

    def seconds(self, now: float) -> float | None:
        """Seconds until all jobs have ended; None while the durations of most are unknown."""
        jobs = [*(one.job for one in self._running.values()), *self._waiting.values()]
        if not jobs:
            return 0.0
        known = self._expected()
        durations = [known[job.group] for job in jobs if job.group in known]
        if 2 * len(durations) < len(jobs):
            return None
        typical = mean(durations)
        running = [
            (one.job, one.left(known.get(one.job.group, typical), now, rest=self._rest()))
            for one in self._running.values()
        ]
        waiting = [(job, known.get(job.group, typical)) for job in self._waiting.values()]
        waiting.sort(key=lambda one: (self._turns[one[0].id], -one[1]))  # as executors.order.Queue
        return makespan(running, waiting, self._cores)

    def _job(self, name: str) -> PlannedJob | None:
        running = self._running.get(name)
        return None if running is None else running.job

    def _rest(self) -> float:
        return median(self._rests) if self._rests else 0.0

    def _expected(self) -> Mapping[str, float]:
        """Expected duration of a job, by group, for all groups for which it is known."""
        projected: dict[str, list[float]] = {}
        for one in self._running.values():
            own = one.projection()
            if own is not None:
                projected.setdefault(one.job.group, []).append((1 + self._rest()) * own)
        seen = {group: mean(some) for group, some in projected.items()}
        seen |= {group: mean(some[-LAST:]) for group, some in self._took.items()}
        # Durations known beforehand were measured at another time, under another load.
        ratios = [seen[group] / self._prior[group] for group in seen if self._prior.get(group)]
        pace = median(ratios) if ratios else 1.0
        return {**{group: pace * prior for group, prior in self._prior.items()}, **seen}
