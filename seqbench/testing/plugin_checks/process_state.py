"""Global settings and environment variables of the process, which plugins must not change."""

from __future__ import annotations

import importlib.metadata
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seqbench.devices.cuda import tf32_allowed
from seqbench.plugins.choice import Choice
from seqbench.plugins.registry import GROUP
from seqbench.testing.plugin_checks.results import Violation

#: Prefixes of environment variables that pytest, and torch when it compiles, set themselves.
IGNORED_VARIABLES = ("PYTEST_", "TORCHINDUCTOR_", "_TORCHINDUCTOR_", "TORCH_WARM_POOL", "TRITON_")

GLOBALS_UNCHANGED = "unchanged global state of the process"

#: Imports the modules named on its input, and prints the variables that each import changes.
REPLAY = """
import contextlib, importlib, json, os, sys
found = {}
with contextlib.redirect_stdout(sys.stderr):
    for name in json.load(sys.stdin):
        before = dict(os.environ)
        try:
            importlib.import_module(name)
        except BaseException:
            pass
        for key in {*before, *os.environ}:
            if before.get(key) != os.environ.get(key):
                found.setdefault(key, name.partition(".")[0])
print()
print(json.dumps(found))
"""


@dataclass(frozen=True)
class ProcessState:
    """The state of the process at one moment.

    Args:
        settings: process-wide settings, by their name in messages.
        environment: all environment variables.
        modules: the imported modules.
    """

    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    modules: frozenset[str]

    @classmethod
    def now(cls) -> ProcessState:
        """The state as it is."""
        return cls(_settings(), dict(os.environ), frozenset(sys.modules))


def check_unchanged(before: ProcessState, choice: Choice) -> str:
    """Check that a plugin has left the state of the process as it was.

    Returns:
        a remark on environment variables that were changed by importing other packages, which the
        plugin's author cannot avoid; else "".

    Raises:
        Violation: a setting, or an environment variable, was changed otherwise.
    """
    now = ProcessState.now()
    changed = [name for name, was in before.settings.items() if now.settings[name] != was]
    variables = _changed_variables(before, now)
    importers = _changed_by_imports(before, now, choice) if variables else {}
    own = [name for name in variables if name not in importers]
    if own:
        changed.append(f"environment variable{'s' if len(own) > 1 else ''} {', '.join(own)}")
    if changed:
        raise Violation(GLOBALS_UNCHANGED, f"changed: {', '.join(changed)}")
    by = [f"{name} (by importing {importers[name]})" for name in variables]
    return f"environment variables changed: {', '.join(by)}" if by else ""


def random_states() -> dict[str, Any]:
    """The states of the random generators other than torch's."""
    states: dict[str, Any] = {"the state of Python's random": random.getstate()}
    if "numpy" in sys.modules:
        import numpy as np

        states["the state of numpy's random"] = str(np.random.get_state())
    return states


def _settings() -> dict[str, Any]:
    """Process-wide settings; changing them would affect other code in the process."""
    return {
        "torch.get_num_threads()": torch.get_num_threads(),
        "torch.get_default_dtype()": torch.get_default_dtype(),
        "torch.get_default_device()": torch.get_default_device(),
        "torch.is_grad_enabled()": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "anomaly detection": torch.is_anomaly_enabled(),
        **{f"TF32 ({where})": allowed for where, allowed in tf32_allowed().items()},
        "cudnn.benchmark": torch.backends.cudnn.benchmark,
        "float32 matmul precision": torch.get_float32_matmul_precision(),
        "the working folder": Path.cwd(),
    }


def _changed_variables(before: ProcessState, now: ProcessState) -> list[str]:
    return sorted(
        name
        for name in {*before.environment, *now.environment}
        if before.environment.get(name) != now.environment.get(name)
        and not name.startswith(IGNORED_VARIABLES)
    )


def _changed_by_imports(before: ProcessState, now: ProcessState, choice: Choice) -> dict[str, str]:
    """Variables that importing other packages changes, each with the package.

    What was imported since ``before``, without the plugin's own modules, is imported again by a new
    Python process with the environment of ``before``.
    """
    own = set(_own_packages(choice))
    modules = [
        name
        for name in sys.modules
        if name in now.modules - before.modules and name.partition(".")[0] not in own
    ]
    done = subprocess.run(
        [sys.executable, "-c", REPLAY], input=json.dumps(modules), capture_output=True, text=True,
        env={**before.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    if done.returncode:
        return {}
    changed: dict[str, str] = json.loads(done.stdout.rpartition("\n\n")[2])
    return changed


def _own_packages(choice: Choice) -> Iterable[str]:
    """The top-level packages of the plugin: that of its function, and those it declares."""
    yield choice.import_path.partition(":")[0].partition(".")[0]
    try:
        points = importlib.metadata.distribution(choice.distribution).entry_points
    except importlib.metadata.PackageNotFoundError:
        return
    yield from (point.module.partition(".")[0] for point in points if point.group == GROUP)
