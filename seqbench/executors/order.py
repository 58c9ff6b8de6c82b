"""The order in which jobs start."""

from __future__ import annotations

from collections.abc import Sequence

from seqbench.executors.base import Job, Outcome


class Queue:
    """Jobs in the order in which they start.

    First the first job of every group, then the second of every group, and so on, so that every
    case has early results. Within a turn, the longest jobs go first, so that no core waits for one
    at the end; jobs of unknown duration go last, since they may hang.
    """

    def __init__(self, jobs: Sequence[Job]):
        self.jobs = list(jobs)
        self._turns: dict[str, int] = {}
        self._took: dict[str, float] = {}
        groups: dict[str, int] = {}
        for job in jobs:
            self._turns[job.id] = groups[job.group] = groups.get(job.group, -1) + 1
        self._sort()

    def learn(self, outcome: Outcome) -> None:
        """Expect other jobs of the same group to take as long."""
        if outcome.status == "ok":
            self._took[outcome.job.group] = outcome.seconds
            self._sort()

    def _sort(self) -> None:
        took = self._took
        self.jobs.sort(key=lambda job: (self._turns[job.id], -took.get(job.group, 0.0)))
