"""What the Linux kernel tells of a machine, read from its files. Elsewhere nothing is there.

Every function takes the ``root`` that the files are under, and returns None where the system does
not tell.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CPU = "sys/devices/system/cpu"

CGROUP = "sys/fs/cgroup"


def text(path: Path) -> str | None:
    """What a file holds, without blanks at its ends."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def number(path: Path) -> int | None:
    """The whole number that a file holds."""
    held = text(path)
    return int(held) if held is not None and re.fullmatch(r"-?\d+", held) else None


def load(root: Path) -> float | None:
    """Processes that ran or wanted to, on average over the last minute (proc_loadavg(5))."""
    held = text(root / "proc/loadavg")
    return float(held.split()[0]) if held else None


def governors(root: Path) -> list[str] | None:
    """The frequency governors in use."""
    files = (root / CPU).glob("cpu[0-9]*/cpufreq/scaling_governor")
    return sorted({held for path in files if (held := text(path))}) or None


def turbo(root: Path) -> bool | None:
    """Whether cores may run faster than their nominal frequency while they are cool."""
    no_turbo = number(root / CPU / "intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == 0
    boost = number(root / CPU / "cpufreq/boost")
    return None if boost is None else boost == 1


def throttled(root: Path) -> int | None:
    """How often cores or packages were slowed down because of heat, since the machine started."""
    files = (root / CPU).glob("cpu[0-9]*/thermal_throttle/*_throttle_count")
    counts = [count for path in files if (count := number(path)) is not None]
    return sum(counts) if counts else None


def memory_info(root: Path) -> dict[str, int]:
    """``MemTotal``, ``SwapFree``, … in bytes (proc_meminfo(5))."""
    held = text(root / "proc/meminfo") or ""
    lines = re.findall(r"^(\w+):\s+(\d+) kB$", held, re.MULTILINE)
    return {name: int(size) * 1024 for name, size in lines}


@dataclass(frozen=True)
class Limits:
    """What the control group allows: cores (None: all), bytes (None: all); and bytes in use."""

    cores: float | None = None
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None


def limits(root: Path) -> Limits | None:
    """The limits of this process's control group, of version 2 or 1 (cgroups(7))."""
    group, memory = _group(root, "cpu"), _group(root, "memory")
    if group is None and memory is None:
        return None
    used = None if memory is None else _first(memory, "memory.current", "memory.usage_in_bytes")
    return Limits(_quota(group), _memory_limit(memory, root), used)


def _quota(group: Path | None) -> float | None:
    """Cores that may be used on average."""
    if group is None:
        return None
    held = (text(group / "cpu.max") or "").split()  # version 2: quota or "max", period
    if not held:
        quota, period = number(group / "cpu.cfs_quota_us"), number(group / "cpu.cfs_period_us")
        return quota / period if quota and period and quota > 0 else None
    return None if held[0] == "max" else int(held[0]) / int(held[1])


def _memory_limit(group: Path | None, root: Path) -> int | None:
    """A limit above what the machine has is none."""
    limit = None if group is None else _first(group, "memory.max", "memory.limit_in_bytes")
    total = memory_info(root).get("MemTotal")
    return None if limit is None or (total is not None and limit >= total) else limit


def _first(folder: Path, *names: str) -> int | None:
    return next((n for name in names if (n := number(folder / name)) is not None), None)


def _group(root: Path, controller: str) -> Path | None:
    """The folder of this process's group; the nearest above it where a container hides it."""
    own: dict[str, str] = {}
    for line in (text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), path)
    for name, top in ((controller, root / CGROUP / controller), ("", root / CGROUP)):
        if name not in own or not (name or (top / "cgroup.controllers").exists()):
            continue
        folder = top / own[name].lstrip("/")
        while not folder.is_dir() and folder != top:
            folder = folder.parent
        if folder.is_dir():
            return folder
    return None


@dataclass(frozen=True)
class Moment:
    """Counters at one moment: two of them tell what went on between.

    Args:
        ticks: of all cores together, by kind (proc_stat(5)).
        processes: CPU ticks of each process: its number and name.
        heat: see :func:`throttled`.
        quota: how often the control group had to wait for its share of the CPU.
    """

    ticks: Mapping[str, int] = field(default_factory=dict)
    processes: Mapping[tuple[int, str], int] = field(default_factory=dict)
    heat: int | None = None
    quota: int | None = None


TICKS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def moment(root: Path) -> Moment:
    """Reads all counters."""
    first = (text(root / "proc/stat") or "").partition("\n")[0].split()
    ticks = dict(zip(TICKS, map(int, first[1:]), strict=False))
    return Moment(ticks, _processes(root), throttled(root), _quota_waits(root))


def _processes(root: Path) -> dict[tuple[int, str], int]:
    found = {}
    for path in (root / "proc").glob("[0-9]*/stat"):
        with contextlib.suppress(ValueError, IndexError):
            name, _, rest = (text(path) or "").partition("(")[2].rpartition(")")
            fields = rest.split()  # from the third on: utime is the 14th, stime the 15th
            found[int(path.parent.name), name] = int(fields[11]) + int(fields[12])
    return found


def _quota_waits(root: Path) -> int | None:
    group = _group(root, "cpu")
    held = None if group is None else text(group / "cpu.stat")
    found = re.search(r"^nr_throttled (\d+)$", held or "", re.MULTILINE)
    return int(found[1]) if found else None


def share(before: Moment, after: Moment, kind: str) -> float | None:
    """Share of all CPU time between two moments that was of one kind, as ``steal``."""
    if kind not in after.ticks:
        return None
    total = sum(after.ticks.values()) - sum(before.ticks.values())
    return (after.ticks[kind] - before.ticks[kind]) / total if total > 0 else None


def busy(before: Moment, after: Moment, seconds: float, own: int) -> float | None:
    """Cores that were kept busy between two moments by anything but the process ``own``."""
    if not after.ticks:
        return None
    idle = ("idle", "iowait", "steal")
    now, then = (
        sum(ticks for kind, ticks in moment.ticks.items() if kind not in idle)
        for moment in (after, before)
    )
    mine = sum(_used(before, after, key) for key in after.processes if key[0] == own)
    return max(0.0, (now - then - mine) / _ticks_in(seconds))


def busiest(before: Moment, after: Moment, seconds: float, own: int) -> list[tuple[str, float]]:
    """The other processes, each with the cores that it kept busy, the busiest first."""
    used = [
        (f"{name} ({number})", _used(before, after, (number, name)) / _ticks_in(seconds))
        for number, name in after.processes
        if number != own
    ]
    return sorted(used, key=lambda pair: -pair[1])


def _used(before: Moment, after: Moment, key: tuple[int, str]) -> int:
    return after.processes[key] - before.processes.get(key, 0)


def _ticks_in(seconds: float) -> float:
    return os.sysconf("SC_CLK_TCK") * seconds
