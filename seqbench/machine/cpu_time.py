"""What used the CPU over an interval: this process, others, other virtual machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

#: Kinds of time in which a core works. ``guest`` is part of ``user`` (proc_stat(5)).
BUSY = ("user", "nice", "system", "irq", "softirq")

#: Kinds in which it does not.
NOT_BUSY = ("idle", "iowait", "steal")


@dataclass(frozen=True)
class ProcessTime:
    """CPU seconds that a process has used since it started."""

    name: str
    seconds: float


@dataclass(frozen=True)
class CpuTime:
    """CPU seconds used since the machine started: two of them tell what happened between.

    Args:
        kinds: of all cores together, by kind (``user``, ``idle``, ``steal``, …); systems differ
            in which they count.
        processes: of each process that the system lets us see, by number.
    """

    kinds: Mapping[str, float] = field(default_factory=dict)
    processes: Mapping[int, ProcessTime] = field(default_factory=dict)


def cpu_time() -> CpuTime:
    """Reads all counters."""
    counted = psutil.cpu_times()._asdict()
    kinds = {kind: counted[kind] for kind in (*BUSY, *NOT_BUSY) if kind in counted}
    found = {}
    # What may not be read (on macOS, processes of other users) is None.
    for process in psutil.process_iter(["name", "cpu_times"]):
        used = process.info["cpu_times"]
        if used is not None:
            name = process.info["name"] or "unknown"
            found[process.pid] = ProcessTime(name, used.user + used.system)
    return CpuTime(kinds, found)


def stolen(before: CpuTime, after: CpuTime) -> float | None:
    """Share of all CPU time that other virtual machines took; None where it is not counted."""
    total = sum(after.kinds.values()) - sum(before.kinds.values())
    if "steal" not in after.kinds or total <= 0:
        return None
    return (after.kinds["steal"] - before.kinds["steal"]) / total


def busy(before: CpuTime, after: CpuTime, seconds: float, own: int) -> float:
    """Cores that were kept busy between two moments by anything but the process ``own``."""
    now, then = (sum(time.kinds.get(kind, 0.0) for kind in BUSY) for time in (after, before))
    return max(0.0, (now - then - _used(before, after, own)) / seconds)


def busiest(before: CpuTime, after: CpuTime, seconds: float, own: int) -> list[tuple[str, float]]:
    """The other processes, each with the cores that it kept busy, the busiest first."""
    used = [
        (f"{process.name} ({number})", _used(before, after, number) / seconds)
        for number, process in after.processes.items()
        if number != own
    ]
    return sorted(used, key=lambda pair: -pair[1])


def _used(before: CpuTime, after: CpuTime, number: int) -> float:
    """CPU seconds of a process between two moments. Less than before: another took its number."""
    nobody = ProcessTime("", 0.0)
    now = after.processes.get(number, nobody).seconds
    then = before.processes.get(number, nobody).seconds
    return now - then if now >= then else now
