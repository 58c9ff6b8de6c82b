"""The machine and the software that a run's figures belong to."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import seqbench


def describe() -> dict[str, Any]:
    """A fingerprint of machine and software as plain data. Imports torch."""
    import torch

    from seqbench.executors.local import usable_cores

    return {
        "seqbench": seqbench.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": _version("torchvision"),
        "numpy": _version("numpy"),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_bytes": _memory_bytes(),
        "cgroup_memory_max": _first_line("/sys/fs/cgroup/memory.max"),
        "git": _git_state(),
        "tf32": {
            "matmul": torch.backends.cuda.matmul.allow_tf32,
            "cudnn": torch.backends.cudnn.allow_tf32,
        },
        "onednn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
        "devices": devices(),
    }


def devices() -> dict[str, str]:
    """Each device there is, as a suite names it, with its description. Imports torch."""
    import torch

    found = {"cpu": _cpu_model()}
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        found[f"cuda:{number}"] = torch.cuda.get_device_name(number)
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU (Metal)"
    return found


def resolve(name: str, available: Mapping[str, str]) -> str:
    """The device that ``auto`` or ``cuda`` stands for; other names stay as they are.

    Args:
        available: as :func:`devices` returns it.
    """
    if name == "auto":
        return next((d for d in ("cuda:0", "mps") if d in available), "cpu")
    return "cuda:0" if name == "cuda" else name


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _first_line(path: str) -> str | None:
    try:
        return Path(path).read_text().splitlines()[0]
    except (OSError, IndexError):
        return None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _git_state() -> str | None:
    """Commit of the folder the run was started in, with ``+`` if it has changes."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
