"""What the NVIDIA driver (NVML) says of the processes on a GPU, asked through ``nvidia-smi``.

It comes with every driver, so that no further package is needed.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from seqbench.errors import DeviceError

PATIENCE_S = 10.0


@dataclass(frozen=True)
class GpuProcess:
    """One process on a GPU; ``used_bytes`` is None where the driver does not tell."""

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
    command = ["nvidia-smi", "--query-compute-apps=pid,used_memory,process_name"]
    command += ["--format=csv,noheader,nounits", *(["-i", gpu] if gpu else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    except FileNotFoundError:
        raise DeviceError("no NVIDIA driver: nvidia-smi is not installed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"nvidia-smi does not answer: {error}") from error
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())
        raise DeviceError(f"nvidia-smi failed: {said or f'exit code {done.returncode}'}")
    return parse(done.stdout)


def parse(text: str) -> list[GpuProcess]:
    """The lines ``pid, MiB, name`` that nvidia-smi prints; other lines are left out."""
    found = []
    for line in text.splitlines():
        pid, _, rest = line.partition(",")
        used, _, name = rest.partition(",")
        if pid.strip().isdigit():
            known = used.strip().isdigit()  # else "[N/A]" or "[Not Supported]"
            size = int(used) * 2**20 if known else None
            found.append(GpuProcess(int(pid), name.strip(), size))
    return found


def used_by(pid: int, gpu: str) -> int:
    """Bytes that a process occupies on a GPU: its tensors, torch's reserve, kernels and context.

    Raises:
        DeviceError: the driver does not tell; the text is the reason.
    """
    own = [each for each in processes(gpu) if each.pid == pid]
    if not own:
        raise DeviceError(
            "the NVIDIA driver does not list this process (a container hides its number)"
        )
    if own[0].used_bytes is None:
        raise DeviceError("the NVIDIA driver does not say how much each process uses")
    return own[0].used_bytes
