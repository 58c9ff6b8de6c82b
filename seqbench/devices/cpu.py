"""The CPU."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import platform
import sys
from pathlib import Path

from seqbench.devices.base import Pass, Workload
from seqbench.errors import DeviceError


def cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


CLEAR_REFS = Path("/proc/self/clear_refs")

STATUS = Path("/proc/self/status")

#: mallopt(3): blocks above this size are given back to the system as soon as they are freed.
M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES = -3, 64 * 1024

KERNEL = "kernel's peak of resident memory, median of passes"

SO_FAR = "peak of the process so far, one pass (lower bound)"


def kernel_pass(work: Workload) -> Pass:
    gc.collect()
    _give_back_freed_memory()
    try:
        CLEAR_REFS.write_text("5")
        before = _status_bytes("VmRSS")
    except OSError as error:
        raise DeviceError(f"the kernel does not let its peak be read: {error}") from error
    work()
    return Pass(before, _status_bytes("VmHWM"))


def only_pass(work: Workload) -> Pass:
    before = so_far()
    work()
    found = Pass(before, so_far())
    if found.working == 0:
        raise DeviceError(
            "this system tells only the peak of a process so far, and an earlier one was higher"
        )
    return found


def so_far() -> int:
    """The peak of this process's resident memory since it began, in bytes (getrusage(2))."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def settle_allocator() -> None:
    """Fixes the C library's threshold, which otherwise moves with what was freed before."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)


def _status_bytes(key: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no {key}")


def _give_back_freed_memory() -> None:
    """Without it memory that was freed but kept by the C library would be used again unseen."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)
