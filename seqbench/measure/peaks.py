"""How high memory rises while something is done: the system's own peak, never a sampled one."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from seqbench.errors import DeviceError
from seqbench.measure.subject import synchronize

CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
#: A single pass may find memory that the C library had kept: the median of several is reported.
PASSES = 9
#: mallopt(3): blocks above this size are given back to the system as soon as they are freed.
M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES = -3, 64 * 1024

ALLOCATOR = "CUDA allocator's peak, median of passes"
KERNEL = "kernel's peak of resident memory, median of passes"
SO_FAR = "peak of the process so far, one pass (lower bound)"

Work = Callable[[], None]


@dataclass(frozen=True)
class Pass:
    """What one pass found, in bytes.

    Args:
        baseline: in use before it: of the whole process on a CPU, of all tensors on CUDA.
        peak: the most that was in use at any moment of it, in the same terms.
        reserved: CUDA only: the most that torch's allocator held from the driver.
    """

    baseline: int
    peak: int
    reserved: int | None = None

    @property
    def working(self) -> int:
        """What the pass needed beyond what was in use before it."""
        return max(0, self.peak - self.baseline)


def median_pass(passes: Sequence[Pass]) -> Pass:
    """The pass whose ``working`` is the median; the lower of the two middle ones."""
    return sorted(passes, key=lambda each: each.working)[(len(passes) - 1) // 2]


def passes(work: Work, device: torch.device) -> tuple[list[Pass], str]:
    """Does ``work`` several times and tells of each how high memory rose, and how that was found.

    On CUDA: the allocator's own peak. On Linux: the kernel's own peak of resident memory, reset
    before (proc(5), ``clear_refs``), after freed memory was given back to it; no sampling, so a
    short peak counts. In both ways ``work`` is done once beforehand, so that what libraries set up
    once (kernels, thread pools) does not count. Elsewhere: how much the peak of the process grew in
    the first pass, which misses what stays below an earlier peak.

    Raises:
        DeviceError: there is no way to measure here; the text is the reason.
    """
    if device.type == "cuda":
        work()
        return [_allocator_pass(work, device) for _ in range(PASSES)], ALLOCATOR
    if device.type == "mps":
        raise DeviceError(
            "torch keeps no peak for mps: it tells only what its pool holds, in whole heaps"
        )
    if device.type != "cpu":
        raise DeviceError(f"peak memory cannot be measured on {device.type}")
    if CLEAR_REFS.exists():
        work()
        return [_kernel_pass(work) for _ in range(PASSES)], KERNEL
    return [_only_pass(work)], SO_FAR


def _allocator_pass(work: Work, device: torch.device) -> Pass:
    gc.collect()
    synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    synchronize(device)
    peak, reserved = (
        torch.cuda.max_memory_allocated(device),
        torch.cuda.max_memory_reserved(device),
    )
    return Pass(before, peak, reserved)


def _kernel_pass(work: Work) -> Pass:
    gc.collect()
    _give_back_freed_memory()
    try:
        CLEAR_REFS.write_text("5")
        before = _status_bytes("VmRSS")
    except OSError as error:
        raise DeviceError(f"the kernel does not let its peak be read: {error}") from error
    work()
    return Pass(before, _status_bytes("VmHWM"))


def _only_pass(work: Work) -> Pass:
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
