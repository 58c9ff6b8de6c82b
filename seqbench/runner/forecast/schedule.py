"""How long jobs take together, as many in parallel as fit."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence

from seqbench.runner.forecast.work import PlannedJob

#: A job, and the seconds that it still takes.
Timed = tuple[PlannedJob, float]


def makespan(running: Iterable[Timed], waiting: Sequence[Timed], cores: int) -> float:
    """Seconds until the last job ends, if waiting jobs start in their order as soon as they fit.

    The rule is that of :class:`seqbench.executors.local.LocalExecutor`: a job starts if enough
    cores, or its own device, are free; one job always runs, however many cores it needs.
    """
    queues: dict[str, deque[tuple[int, Timed]]] = {}
    for place, timed in enumerate(waiting):
        queues.setdefault(timed[0].device, deque()).append((place, timed))
    ends: list[tuple[float, int, PlannedJob]] = []
    number = busy = 0
    now = 0.0
    taken: set[str] = set()

    def start(job: PlannedJob, seconds: float) -> None:
        nonlocal number, busy
        heapq.heappush(ends, (now + seconds, number, job))
        number, busy = number + 1, busy + job.cores
        taken.add(job.device)

    for job, seconds in running:
        start(job, seconds)
    while True:
        while True:
            free = [queue for device, queue in queues.items()
                    if queue and (not device or device not in taken)]  # fmt: skip
            if not free:
                break
            first = min(free, key=lambda queue: queue[0][0])
            if ends and busy + first[0][1][0].cores > cores:
                break
            start(*first.popleft()[1])
        if not ends:
            return now
        now, _, job = heapq.heappop(ends)
        busy -= job.cores
        taken.discard(job.device)
