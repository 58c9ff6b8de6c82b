"""Preloaded by the fork server of the workers, before torch, and by nothing else."""

from __future__ import annotations

import pickle
import sys
import traceback
from dataclasses import dataclass
from types import TracebackType

from seqbench.plugins.metadata import tolerate_broken_metadata

tolerate_broken_metadata()  # before pydantic and torch

from pydantic import TypeAdapter  # noqa: E402


def _ignore_a_lost_runner(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """A fork whose runner was killed before it sent the assignment ends without a message."""
    frames = traceback.extract_tb(trace)
    receiving = bool(frames) and "multiprocessing" in frames[-1].filename
    if not (receiving and issubclass(kind, EOFError | pickle.UnpicklingError)):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _ignore_a_lost_runner


@dataclass(frozen=True)
class _Sample:
    name: str = ""


# The first use of pydantic imports a good part of it: once here, not in every worker.
TypeAdapter(_Sample).validate_python({"name": "sample"})
