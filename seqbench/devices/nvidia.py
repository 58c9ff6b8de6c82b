"""GPU processes as reported by the NVIDIA driver (NVML)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seqbench.errors import DeviceError


@dataclass(frozen=True)
class GpuProcess:
    """One process on a GPU; ``used_bytes`` is None where the driver does not say."""

    pid: int
    name: str
    used_bytes: int | None


def processes(gpu: str | None = None) -> list[GpuProcess]:
    """The processes that compute on a GPU.

    Args:
        gpu: its UUID (``GPU-…``); None asks for all GPUs.

    Raises:
        DeviceError: there is no driver, or it does not answer; the text is the reason.
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
    """Bytes that a process occupies on a GPU: its tensors, torch's reserve, kernels and context.

    Raises:
        DeviceError: the driver does not say; the text is the reason.
    """
    own = [each for each in processes(gpu) if each.pid == pid]
    if not own:
        raise DeviceError(
            "the NVIDIA driver does not list this process (a container hides its number)"
        )
    if own[0].used_bytes is None:
        raise DeviceError("the NVIDIA driver does not say how much each process uses")
    return own[0].used_bytes


@contextlib.contextmanager
def _driver() -> Iterator[Any]:
    """NVML for the length of a block; what it refuses becomes DeviceError."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        raise DeviceError("no NVIDIA driver: its library NVML is not installed") from None
    except pynvml.NVMLError as error:
        raise DeviceError(f"the NVIDIA driver does not answer: {error}") from error
    try:
        yield pynvml
    except pynvml.NVMLError as error:
        raise DeviceError(f"the NVIDIA driver failed: {error}") from error
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _name(nvml: Any, pid: int) -> str:
    """The program of a process; the driver does not name those of other users or containers."""
    try:
        return str(nvml.nvmlSystemGetProcessName(pid))
    except nvml.NVMLError:
        return "unknown"
