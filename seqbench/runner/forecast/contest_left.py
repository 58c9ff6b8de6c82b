"""The time left for one contest, learned from the processes that were timed."""

from __future__ import annotations

import itertools
import math
from statistics import mean

from seqbench.measure.latency.protocol import MIN_PROCESSES
from seqbench.runner.forecast.work import LOAD_SECONDS, PlannedContest
from seqbench.stats.distributions import t_quantile

#: Only the last processes count.
LAST = 3

#: A process that takes longer to load and warm up than expected is expected to take this fraction
#: longer still.
OVERDUE = 0.1


class ContestLeft:
    """A contest that has not ended.

    A cycle is one process of every case: load, warm up, be timed.
    """

    def __init__(self, contest: PlannedContest):
        self._contest = contest
        self._started: float | None = None
        #: The number of processes done before, and when timing started, for each cycle.
        self._steps: list[tuple[int, float]] = []
        self._likely = min(contest.processes, max(contest.likely, contest.done + 1))

    def start(self, now: float) -> None:
        """The contest starts."""
        self._started = now

    def step(self, done: int, now: float) -> None:
        """All cases are warm, and are timed from now on, after ``done`` processes."""
        self._steps.append((done, now))

    def precise_to(self, half_width: float, done: int) -> None:
        """After ``done`` processes, the widest interval has this half-width, as a fraction of its
        figure.

        It shrinks with the root of the number of processes and with Student's t.
        """
        contest = self._contest
        if done < 2 or not math.isfinite(half_width):
            return
        for number in range(max(MIN_PROCESSES, done), contest.processes):
            ratio = t_quantile(number - 1, 0.975) / t_quantile(done - 1, 0.975)
            if half_width * ratio * math.sqrt(done / number) <= contest.precision:
                self._likely = number
                return
        self._likely = contest.processes

    def seconds(self, now: float, load: float | None = None) -> float:
        """Seconds until the contest ends.

        Args:
            load: seconds for loading one case, as measured in this run.
        """
        contest = self._contest
        cycle = self._cycle(load)
        if self._started is None:
            return max(0, self._likely - contest.done) * cycle
        if not self._steps:
            spent = now - self._started
            first = max(cycle - contest.timed - spent, OVERDUE * spent)
            return first + contest.timed + max(0, self._likely - contest.done - 1) * cycle
        done, since = self._steps[-1]
        cycles = max(0, self._likely - done - 1)
        # At the latest the next cycle is running; its timing is still to come.
        least = contest.timed + (cycles - 1) * cycle if cycles else 0.0
        return max(contest.timed + cycles * cycle - (now - since), least)

    def _cycle(self, load: float | None) -> float:
        """Seconds per cycle."""
        contest = self._contest
        if len(self._steps) > 1:
            times = [time for _, time in self._steps[-LAST - 1 :]]
            return mean(after - before for before, after in itertools.pairwise(times))
        if self._steps and self._started is not None:
            return self._steps[0][1] - self._started + contest.timed
        loads = contest.load
        if load is not None or loads is None:
            loads = contest.cases * (LOAD_SECONDS if load is None else load)
        return loads + contest.warm_up + contest.timed
