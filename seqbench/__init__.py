"""seqbench: accuracy, latency and memory of the same trained sequence models.

This module is the public API: what a plugin author and a script import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqbench.errors import SeqbenchError, check_system
from seqbench.types import (
    DataContext,
    DatasetSpec,
    Fresh,
    LossSpec,
    MetricSpec,
    ModelSpec,
    OptimizerSpec,
    Param,
    ReportSpec,
    RuntimeSpec,
    ScheduleSpec,
    Splits,
    Task,
)
from seqbench.version import __version__

if TYPE_CHECKING:
    from seqbench.api import run
    from seqbench.plugins.hookspecs import hookimpl
    from seqbench.report.run import Run
    from seqbench.runtimes.base import PreparedCall
    from seqbench.training.split import Batch

__all__ = [
    "Batch",
    "DataContext",
    "DatasetSpec",
    "Fresh",
    "LossSpec",
    "MetricSpec",
    "ModelSpec",
    "OptimizerSpec",
    "Param",
    "PreparedCall",
    "ReportSpec",
    "Run",
    "RuntimeSpec",
    "ScheduleSpec",
    "SeqbenchError",
    "Splits",
    "Task",
    "__version__",
    "hookimpl",
    "run",
]

# Loaded when first used, so that the command line starts at once.
_LAZY = {
    "Run": "seqbench.report.run", "run": "seqbench.api",
    "hookimpl": "seqbench.plugins.hookspecs", "PreparedCall": "seqbench.runtimes.base",
    "Batch": "seqbench.training.split",
}  # fmt: skip


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        if name == "run":
            check_system()
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'seqbench' has no attribute {name!r}")
