"""Describe the machine and software on which a run's figures were measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import seqbench
from seqbench.devices.allocator import allocator
from seqbench.devices.cpu import cpu_name
from seqbench.devices.cuda import tf32_allowed
from seqbench.devices.registry import available_devices
from seqbench.machine import linux
from seqbench.machine.limits import limits, machine_memory, usable_cores
from seqbench.workers.context import JobContext
from seqbench.workers.variables import recorded_variables


@dataclass(frozen=True)
class EnvironmentPayload:
    """The payload of :func:`describe`; it has no settings."""


def describe(payload: EnvironmentPayload, context: JobContext) -> dict[str, Any]:
    """:func:`describe_environment` as a job."""
    return describe_environment()


def describe_environment() -> dict[str, Any]:
    """A description of machine and software as plain data. Imports torch."""
    import torch

    return {
        "seqbench": seqbench.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": _version("torchvision"),
        "numpy": _version("numpy"),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": usable_cores(),
        "load": psutil.getloadavg()[0],
        "governor": linux.text(Path("/", linux.CPU, "cpu0/cpufreq/scaling_governor")),
        "memory_bytes": machine_memory(),
        "cgroup_memory_max": _memory_limit(),
        "allocator": allocator(),
        "variables": recorded_variables(),
        "tf32": tf32_allowed(),
        "onednn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
        "devices": available_devices(),
    }


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError, TypeError, KeyError):
        return None  # not installed, or its metadata is broken


def _memory_limit() -> str | None:
    """Bytes, or ``max`` if control groups set no limit."""
    found = limits()
    return None if found is None else str(found.memory_bytes or "max")


#: Runs no hook, no monitor and nothing of submodules, and does not write to the index.
GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null",
       "-c", "diff.ignoreSubmodules=all")  # fmt: skip


GIT_VARIABLES = ("GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
                 "GIT_WORK_TREE")  # fmt: skip


def git_state() -> str | None:
    """The commit of the working folder, with ``+`` if it has changes, and ``?`` if that is unknown.

    Nothing that the repository configures is run: whoever wrote a suite may also have written the
    repository around it. To find changes, git may run its filters.
    """
    filters = _git(
        "config", "--local", "--includes", "--get-regexp", r"^filter\.|^core\.fsmonitor$"
    )
    if filters is None:
        return None
    commit = _git("describe", "--always", "--abbrev=12", *([] if filters else ["--dirty=+"]))
    return f"{commit}?" if commit and filters else commit or None


def _git(*arguments: str) -> str | None:
    """What git prints, without white space at the ends; None if there is no git."""
    try:
        done = subprocess.run(
            [*GIT, *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=5,
            # In a hook of git, they name the repository of the hook.
            env={n: v for n, v in os.environ.items() if n not in GIT_VARIABLES},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip()
