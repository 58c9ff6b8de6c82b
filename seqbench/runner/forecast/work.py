"""The work left in a run, as far as its duration depends on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: The phases of a run, in order.
PHASES = ("prepare", "match", "train", "memory", "doctor", "latency", "score")


#: Seconds for starting a worker and loading a case in it, if nothing is known yet.
LOAD_SECONDS = 0.2


@dataclass(frozen=True)
class PlannedJob:
    """A job of a phase.

    Args:
        group: jobs of one group take about the same time.
        seconds: expected duration; None if unknown.
        cores: CPU cores that it occupies.
        device: the device that it occupies alone; "" if it only occupies cores.
    """

    id: str
    group: str
    seconds: float | None = None
    cores: int = 1
    device: str = ""


@dataclass(frozen=True)
class PlannedContest:
    """A contest: all its cases load one after the other, warm up, and are timed; once per process.

    Args:
        load: seconds for loading all cases, or None if unknown.
        cases: number of cases.
        warm_up: seconds for warming up all cases.
        timed: seconds for timing all cases, per process.
        processes: maximum number of processes per case.
        likely: number of processes expected to reach the precision.
        done: number of processes already timed.
        precision: half-width at which the contest stops early, as a fraction of the figure.
    """

    id: str
    cases: int
    load: float | None
    warm_up: float
    timed: float
    processes: int
    likely: int
    done: int = 0
    precision: float = 0.0


@dataclass(frozen=True)
class Work:
    """The work left.

    Args:
        jobs: by phase.
        cores: CPU cores that may be busy at once.
    """

    jobs: Mapping[str, Sequence[PlannedJob]]
    contests: Sequence[PlannedContest]
    cores: int
