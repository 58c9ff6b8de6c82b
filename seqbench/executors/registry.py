"""The available executors. Importing this does not import torch.

To add one: a file beside this one, and an entry in :data:`EXECUTORS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from seqbench.errors import UsageError
from seqbench.plugins.loading import import_object
from seqbench.suggest import suggested

if TYPE_CHECKING:
    from seqbench.executors.base import Executor

#: The import path of each executor's class, which is called with ``cores``.
EXECUTORS: Mapping[str, str] = {"local": "seqbench.executors.local:LocalExecutor"}
DEFAULT = "local"


def make_executor(name: str = DEFAULT, *, cores: int | None = None) -> Executor:
    """Create the executor ``name``.

    Args:
        cores: CPU threads that may be busy at once; default: all that this process may use.

    Raises:
        UsageError: the executor is unknown.
    """
    if name not in EXECUTORS:
        raise UsageError(suggested(f"unknown executor {name!r}", name, EXECUTORS))
    if cores is not None and cores < 1:
        raise UsageError(f"jobs is {cores}, but at least one CPU core is needed")
    executor: Executor = import_object(EXECUTORS[name])(cores=cores)
    return executor
