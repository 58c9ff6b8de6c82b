"""GPU processes as reported by the NVIDIA driver (NVML)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seqbench.errors import DeviceError


@dataclass(frozen=True)
class GpuProcess:
    """One process on a GPU; ``used_bytes`` is None if the driver does not report it."""

    pid: int
    name: str
    used_bytes: int | None


def processes(gpu: str | None = None) -> list[GpuProcess]:
    """The processes that compute on a GPU.

    Args:
        gpu: its UUID (``GPU-…``); None: all GPUs.

    Raises:
        DeviceError: the driver is missing or failed; the text is the reason.
    """
    with _driver() as nvml:
        if gpu is not None:
            handles = [nvml.nvmlDeviceGetHandleByUUID(gpu)]
        else:
            count = nvml.nvmlDeviceGetCount()
            handles = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
        return [
            GpuProcess(one.pid, _name(nvml, one.pid), one.usedGpuMemory)
            for handle in handles
            for one in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        ]


def used_by(pid: int, gpu: str) -> int:
    """Bytes that a process occupies on a GPU: tensors, torch's reserve, kernels and context.

    Raises:
        DeviceError: the figure is unavailable; the text is the reason.
    """
    own = [each for each in processes(gpu) if each.pid == pid]
    if not own:
        raise DeviceError(
            "the NVIDIA driver does not list this process (its PID is hidden in a container)"
        )
    if own[0].used_bytes is None:
        raise DeviceError("the NVIDIA driver does not report memory per process")
    return own[0].used_bytes


@contextlib.contextmanager
def _driver() -> Iterator[Any]:
    """Initialize NVML for the block. Raises DeviceError in place of NVML's errors."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        raise DeviceError("no NVIDIA driver: its library NVML is not installed") from None
    except pynvml.NVMLError as error:
        raise DeviceError(f"the NVIDIA driver does not respond: {error}") from error
    try:
        yield pynvml
    except pynvml.NVMLError as error:
        raise DeviceError(f"the NVIDIA driver failed: {error}") from error
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _name(nvml: Any, pid: int) -> str:
    """The name of a process; ``unknown`` for those of other users or containers."""
    try:
        return str(nvml.nvmlSystemGetProcessName(pid))
    except nvml.NVMLError:
        return "unknown"
