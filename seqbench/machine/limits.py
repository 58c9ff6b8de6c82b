"""CPU cores and memory available to this process, including container limits (cgroups)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from seqbench.machine.linux import number, text

ROOT = Path("/")

CGROUP = "sys/fs/cgroup"


@dataclass(frozen=True)
class Limits:
    """The limits of this process's control groups.

    Args:
        cores: usable on average; None: no limit.
        memory_bytes: None: no limit.
        memory_used_bytes: in use by the group with that limit, or by the process's own group
            without one; None if not available.
    """

    cores: float | None = None
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None


def usable_cores(root: Path = ROOT) -> int:
    """CPU cores that this process may use, from its affinity and its control groups' quotas.

    Args:
        root: the root of the system's files.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    found = limits(root)
    return cores if found is None or found.cores is None else min(cores, max(1, int(found.cores)))


def usable_memory(root: Path = ROOT) -> int:
    """Bytes of memory that this process may use: its control groups' limit, or all."""
    found = limits(root)
    return machine_memory() if found is None or not found.memory_bytes else found.memory_bytes


def machine_memory() -> int:
    """Bytes of memory in the machine."""
    return psutil.virtual_memory().total


def limits(root: Path = ROOT) -> Limits | None:
    """The tightest limits on this process, from control groups version 1 or 2 (cgroups(7)).

    A limit applies to everything below its group, so all ancestor groups count. None if there are
    no control groups.
    """
    of_cpu, of_memory = _groups(root, "cpu"), _groups(root, "memory")
    if not of_cpu and not of_memory:
        return None
    quotas = [quota for group in of_cpu if (quota := _quota(group)) is not None]
    limit, used = _memory(of_memory)
    return Limits(min(quotas, default=None), limit, used)


def quota_waits(root: Path = ROOT) -> int | None:
    """How often this process's control groups were throttled; None if not available."""
    counts = [
        int(counter[1])
        for group in _groups(root, "cpu")
        if (counter := re.search(r"^nr_throttled (\d+)$", text(group / "cpu.stat") or "", re.M))
    ]
    return sum(counts) if counts else None


def _quota(group: Path) -> float | None:
    """Cores that a group may use on average; None: no limit."""
    parts = (text(group / "cpu.max") or "").split()  # version 2: quota or "max", period
    if len(parts) == 2 and all(part.isdigit() for part in parts):
        return int(parts[0]) / int(parts[1])
    quota, period = number(group / "cpu.cfs_quota_us"), number(group / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _memory(groups: Sequence[Path]) -> tuple[int | None, int | None]:
    """The tightest memory limit and the bytes in use within it.

    A limit above the machine's memory counts as none.
    """
    total = machine_memory()
    found = [
        (limit, group)
        for group in groups
        if (limit := _first(group, "memory.max", "memory.limit_in_bytes")) is not None
        and limit < total
    ]
    limit, group = min(found, default=(None, groups[0] if groups else None))
    used = None if group is None else _first(group, "memory.current", "memory.usage_in_bytes")
    return limit, used


def _first(folder: Path, *names: str) -> int | None:
    return next((n for name in names if (n := number(folder / name)) is not None), None)


def _groups(root: Path, controller: str) -> list[Path]:
    """The folders of this process's group and of its ancestors, its own first.

    A controller belongs to a hierarchy of version 1, or else to the one of version 2. In a
    container the process's own group may be hidden: then its nearest visible ancestor is first.
    """
    version_1, version_2 = None, None
    for line in (text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            version_2 = path
        elif controller in controllers.split(","):
            places = [root / CGROUP / name for name in (controller, controllers)]
            version_1 = next((top for top in places if top.is_dir()), places[0]), path
    if version_1 is not None:
        return _way_up(*version_1)
    top = root / CGROUP
    if version_2 is not None and (top / "cgroup.controllers").exists():
        return _way_up(top, version_2)
    return []


def _way_up(top: Path, path: str) -> list[Path]:
    folder = top / path.lstrip("/")
    found = []
    while folder != top:
        found.append(folder)
        folder = folder.parent
    return [group for group in [*found, top] if group.is_dir()]
