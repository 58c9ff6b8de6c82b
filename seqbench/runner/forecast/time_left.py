"""The time left in a run: a model that follows it from message to message."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seqbench.executors.base import Activity, Outcome
from seqbench.runner.forecast.contest_left import ContestLeft
from seqbench.runner.forecast.jobs_left import JobsLeft
from seqbench.runner.forecast.work import PHASES, PlannedJob, Work


class TimeLeft:
    """Estimates the seconds left in a run. Threads may ask while another one reports.

    Args:
        clock: returns seconds.
    """

    def __init__(self, work: Work, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._place = 0
        self._jobs = {name: JobsLeft(jobs, work.cores) for name, jobs in work.jobs.items()}
        self._planned = {job.id: job for jobs in work.jobs.values() for job in jobs}
        self._contests = {contest.id: ContestLeft(contest) for contest in work.contests}
        self._cores = work.cores

    def begin(self, phase: str, activities: Sequence[Activity]) -> None:
        """A phase begins with these activities; all earlier phases are over."""
        if phase not in PHASES:
            return
        with self._lock:
            self._place = PHASES.index(phase)
            if phase != "latency":
                jobs = [self._planned.get(one.id) or PlannedJob(one.id, one.group)
                        for one in activities]  # fmt: skip
                self._jobs.setdefault(phase, JobsLeft((), self._cores)).plan(jobs)

    def start(self, activity: Activity) -> None:
        """An activity starts."""
        with self._lock:
            now = self._clock()
            if activity.id in self._contests:
                self._contests[activity.id].start(now)
            elif self._current is not None:
                self._current.start(activity.id, now)

    def receive(self, activity: Activity, message: Mapping[str, Any]) -> None:
        """An activity has sent a message."""
        with self._lock:
            now = self._clock()
            contest = self._contests.get(activity.id)
            if contest is not None:
                if "half_width" in message:
                    contest.precise_to(message["half_width"], message["processes"])
                elif message.get("steps"):
                    contest.step(message["step"], now)
                return
            done = fraction(message)
            if done is not None and self._current is not None:
                self._current.report(activity.id, done, now)

    def end(self, outcome: Outcome) -> None:
        """An activity has ended."""
        with self._lock:
            name = outcome.job.id
            if self._contests.pop(name, None) is None and self._current is not None:
                self._current.end(name, outcome.seconds, ok=outcome.status == "ok")

    def seconds(self) -> float | None:
        """Seconds left; None while too little is known."""
        parts = self.parts().values()
        return None if None in parts else sum(part for part in parts if part is not None)

    def parts(self) -> dict[str, float | None]:
        """Seconds left in each phase from the current one on."""
        with self._lock:
            now = self._clock()
            parts: dict[str, float | None] = {}
            for phase in PHASES[self._place :]:
                if phase in self._jobs:
                    parts[phase] = self._jobs[phase].seconds(now)
                if phase == "latency":
                    load = self._load()
                    parts[phase] = sum(one.seconds(now, load) for one in self._contests.values())
            return parts

    @property
    def _current(self) -> JobsLeft | None:
        return self._jobs.get(PHASES[self._place])

    def _load(self) -> float | None:
        """Seconds for loading a trained model in a worker: the short jobs of the phase before do
        little else.
        """
        memory = self._jobs.get("memory")
        return None if memory is None else memory.mean_seconds()


def fraction(message: Mapping[str, Any]) -> float | None:
    """The fraction of an activity that is done, if a message says so."""
    if message.get("total_bytes"):
        return min(1.0, float(message["bytes"] / message["total_bytes"]))
    if message.get("steps"):
        return min(1.0, float(message["step"] / message["steps"]))
    return None
