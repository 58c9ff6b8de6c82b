"""How many cores and how much memory this process may use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from seqbench.machine import linux


def machine_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def usable_cores() -> int:
    """CPU cores that this process may use: affinity and cgroup quota count, not just hardware."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def usable_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its control group's."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = linux.limits(Path("/"))
    return min(memory, limits.memory_bytes) if limits and limits.memory_bytes else memory
