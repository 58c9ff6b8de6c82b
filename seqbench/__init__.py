"""seqbench: accuracy, latency and memory of the same trained sequence models.

This module is the public API: what a plugin author and a script import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqbench.errors import SeqbenchError
from seqbench.types import (
    DataContext,
    DatasetSpec,
    MetricSpec,
    ModelSpec,
    Param,
    ReportSpec,
    Splits,
    Task,
)

if TYPE_CHECKING:
    from seqbench.api import Run, run
    from seqbench.hookspecs import hookimpl

__version__ = "0.1.0"
__all__ = [
    "DataContext",
    "DatasetSpec",
    "MetricSpec",
    "ModelSpec",
    "Param",
    "ReportSpec",
    "Run",
    "SeqbenchError",
    "Splits",
    "Task",
    "__version__",
    "hookimpl",
    "run",
]

# Loaded when first used, so that the command line starts at once.
_LAZY = {"Run": "seqbench.api", "run": "seqbench.api", "hookimpl": "seqbench.hookspecs"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'seqbench' has no attribute {name!r}")
