"""CPU use over an interval: by this process, other processes, other virtual machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

#: Kinds of time in which a core is busy. ``guest`` is part of ``user`` (proc_stat(5)).
BUSY = ("user", "nice", "system", "irq", "softirq")

#: Kinds in which it is not.
NOT_BUSY = ("idle", "iowait", "steal")


@dataclass(frozen=True)
class ProcessTime:
    """CPU seconds that a process has used since it started."""

    name: str
    seconds: float


@dataclass(frozen=True)
class CpuTime:
    """CPU seconds used since the machine started. The difference of two shows what ran between.

    Args:
        kinds: of all cores together, by kind (``user``, ``idle``, ``steal``, …); which kinds exist
            depends on the system.
        processes: of each visible process, by PID.
    """

    kinds: Mapping[str, float] = field(default_factory=dict)
    processes: Mapping[int, ProcessTime] = field(default_factory=dict)


def cpu_time() -> CpuTime:
    """Read all counters."""
    counters = psutil.cpu_times()._asdict()
    kinds = {kind: counters[kind] for kind in (*BUSY, *NOT_BUSY) if kind in counters}
    processes = {}
    # None if access is denied (on macOS, processes of other users).
    for process in psutil.process_iter(["name", "cpu_times"]):
        used = process.info["cpu_times"]
        if used is not None:
            name = process.info["name"] or "unknown"
            processes[process.pid] = ProcessTime(name, used.user + used.system)
    return CpuTime(kinds, processes)


def stolen(before: CpuTime, after: CpuTime) -> float | None:
    """Share of all CPU time taken by other virtual machines; None if not available."""
    total = sum(after.kinds.values()) - sum(before.kinds.values())
    if "steal" not in after.kinds or total <= 0:
        return None
    return (after.kinds["steal"] - before.kinds["steal"]) / total


def busy(before: CpuTime, after: CpuTime, seconds: float, own: int) -> float:
    """Average number of cores kept busy by processes other than ``own`` (a PID)."""
    now, then = (sum(time.kinds.get(kind, 0.0) for kind in BUSY) for time in (after, before))
    return max(0.0, (now - then - _used(before, after, own)) / seconds)


def busiest(before: CpuTime, after: CpuTime, seconds: float, own: int) -> list[tuple[str, float]]:
    """The other processes with the number of cores each kept busy, busiest first."""
    used = [
        (f"{process.name} ({number})", _used(before, after, number) / seconds)
        for number, process in after.processes.items()
        if number != own
    ]
    return sorted(used, key=lambda pair: -pair[1])


def _used(before: CpuTime, after: CpuTime, number: int) -> float:
    """CPU seconds of a process in the interval. A decrease means that its PID was reused."""
    none = ProcessTime("", 0.0)
    now = after.processes.get(number, none).seconds
    then = before.processes.get(number, none).seconds
    return now - then if now >= then else now
