"""Preloaded by the server that workers are forked from, and by nothing else."""

from __future__ import annotations

import pickle
import sys
from types import TracebackType


def _say_nothing_of_a_lost_runner(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """A fork whose runner was killed before it had said what to do ends, and nobody need know."""
    if not issubclass(kind, EOFError | pickle.UnpicklingError):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _say_nothing_of_a_lost_runner
