"""The CPU."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seqbench.devices.allocator import why_unmeasurable
from seqbench.devices.base import PASSES, Device, Pass, PeakMemory, Workload
from seqbench.errors import DeviceError

if TYPE_CHECKING:
    import torch

CLEAR_REFS = Path("/proc/self/clear_refs")

STATUS = Path("/proc/self/status")

#: mallopt(3): blocks above this size are returned to the system as soon as they are freed.
M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES = -3, 64 * 1024

KERNEL = "kernel's peak of resident memory, median of passes"

SO_FAR = "peak of the process so far, one pass (lower bound)"


class Cpu(Device):
    """The CPU; all cores together are one device."""

    names = examples = "cpu"
    shares_cores = uses_host_memory = pins_to_core = True

    def available(self) -> dict[str, str]:
        return {"cpu": cpu_name()}

    def synchronize(self, device: torch.device) -> None:
        """Do nothing: calls on the CPU are synchronous."""

    def use_full_precision(self) -> None:
        import torch

        torch.set_float32_matmul_precision("highest")
        torch.set_flush_denormal(False)

    def settle_allocator(self) -> None:
        """Fix the C library's mmap threshold, which otherwise adapts to earlier frees."""
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)

    def memory_passes(self, workload: Workload, device: torch.device) -> PeakMemory:
        """Measure the kernel's peak of resident memory on Linux, a lower bound elsewhere.

        The kernel's peak is reset before each pass (proc(5), ``clear_refs``), after freed memory
        was returned to the kernel. Nothing is sampled, so short peaks count. ``workload`` runs once
        before, so that one-time initialization (thread pools) does not count. Elsewhere: how much
        the peak of the process grew in the first pass, which misses all below an earlier peak.
        """
        if reason := why_unmeasurable():
            raise DeviceError(reason)
        if CLEAR_REFS.exists():
            workload()
            return PeakMemory([_kernel_pass(workload) for _ in range(PASSES)], KERNEL)
        return PeakMemory([_only_pass(workload)], SO_FAR, lower_bound=True)


def cpu_name(root: Path = Path("/")) -> str:
    """The CPU's name as reported by the system.

    On Linux ``model name`` in ``/proc/cpuinfo``; on ARM, which lacks it, the numbers of the
    implementer and of each type of core. On macOS ``machdep.cpu.brand_string`` (sysctl(8)).
    """
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string") or platform.machine()
    try:
        cpuinfo = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    if names := _values(cpuinfo, "model name"):
        return names[0]
    if implementers := _values(cpuinfo, "CPU implementer"):
        parts = ", ".join(_values(cpuinfo, "CPU part")) or "unknown"
        return f"{platform.machine()}, implementer {', '.join(implementers)}, part {parts}"
    return platform.processor() or platform.machine()


def _values(cpuinfo: str, key: str) -> list[str]:
    """The distinct values of a key, in order of appearance."""
    found = re.findall(rf"^{key}[ \t]*:[ \t]*(\S.*?)[ \t]*$", cpuinfo, re.MULTILINE)
    return list(dict.fromkeys(found))


def _sysctl(name: str) -> str | None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["sysctl", "-n", name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
        return done.stdout.strip() or None
    return None


def _kernel_pass(workload: Workload) -> Pass:
    gc.collect()
    _return_freed_memory()
    try:
        CLEAR_REFS.write_text("5")
        before = _status_bytes("VmRSS")
    except OSError as error:
        raise DeviceError(f"cannot read the kernel's peak memory: {error}") from error
    workload()
    return Pass(before, _status_bytes("VmHWM"))


def _only_pass(workload: Workload) -> Pass:
    before = peak_so_far()
    workload()
    found = Pass(before, peak_so_far())
    if found.working == 0:
        raise DeviceError(
            "hidden by an earlier, higher peak: this system reports only a process's peak so far"
        )
    return found


def peak_so_far() -> int:
    """This process's peak resident memory since it started, in bytes (getrusage(2))."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status_bytes(key: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no {key}")


def _return_freed_memory() -> None:
    """Return freed memory to the system; reusing what the C library retained would go unnoticed."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)
