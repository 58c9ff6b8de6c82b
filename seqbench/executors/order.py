"""The order in which jobs start."""

from __future__ import annotations

from collections.abc import Sequence

from seqbench.executors.base import Job, Outcome


class Queue:
    """Jobs in the order in which they are to start: the first of every group, then the second of
    every group, and so on, so that of every case something can be seen early. Among those of one
    turn the ones that will take longest come first, so that no core waits for one at the end;
    and last those of which that is not known: they may hang.
    """

    def __init__(self, jobs: Sequence[Job]):
        self.jobs = list(jobs)
        self._turns: dict[str, int] = {}
        self._took: dict[str, float] = {}
        groups: dict[str, int] = {}
        for job in jobs:
            self._turns[job.id] = groups[job.group] = groups.get(job.group, -1) + 1
        self._sort()

    def heed(self, outcome: Outcome) -> None:
        """Others of that group will take as long."""
        if outcome.status == "ok":
            self._took[outcome.job.group] = outcome.seconds
            self._sort()

    def _sort(self) -> None:
        took = self._took
        self.jobs.sort(key=lambda job: (self._turns[job.id], -took.get(job.group, 0.0)))
