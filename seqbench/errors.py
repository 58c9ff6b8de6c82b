"""Every error that seqbench raises on purpose.

::

    SeqbenchError                 shown as one line, without a traceback
    ├── UsageError                an invalid command line or call (exit code 2)
    │   ├── SuiteError            an invalid suite: its problems, each with its line (exit code 2)
    │   ├── UnknownName           a model or dataset that no working plugin offers (exit code 2)
    │   └── MissingExtra          a command needs a package that is not installed (exit code 2)
    ├── PluginError               a plugin breaks its contract
    ├── DataError                 a dataset is unavailable, or does not match its declaration
    │   └── NotPrepared           a prepared dataset is missing from the cache, or damaged
    ├── StoreError                a run folder cannot be read or written
    ├── WorkerError               a worker process cannot be started
    ├── DeviceError               a device does not support an operation
    ├── NotApplicable             a measurement does not apply to this model: it is skipped
    ├── LooksAhead                a model looks ahead, but its task is causal
    └── Diverged                  the loss or output of a training is not finite
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqbench.records import Status


class SeqbenchError(Exception):
    """Base of all errors below; its text is one line for the user.

    ``hint`` is a line to show below it, or empty.
    """

    hint = ""


class UsageError(SeqbenchError):
    """An invalid command line or call."""


@dataclass(frozen=True)
class Problem:
    """One problem in a suite: where, which key, what is wrong, and what to do."""

    where: str
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.where}: {key}{self.message}{hint}"


class SuiteError(UsageError):
    """An invalid suite. ``problems`` holds all its problems, in file order."""

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UnknownName(UsageError):
    """No working plugin offers this name, or more than one does."""


class MissingExtra(UsageError):
    """A command needs a package that is not installed; an extra of seqbench installs it."""


class PluginError(SeqbenchError):
    """A plugin breaks its contract; the text names plugin and version."""


class DataError(SeqbenchError):
    """A dataset is unavailable, or does not match its declaration."""


class NotPrepared(DataError):
    """A prepared dataset is missing from the cache, or damaged; it can be prepared again."""


class StoreError(SeqbenchError):
    """A run folder cannot be read or written."""


class WorkerError(SeqbenchError):
    """A worker process cannot be started."""


class DeviceError(SeqbenchError):
    """A device does not support an operation."""


class NotApplicable(SeqbenchError):
    """A measurement does not apply to this model; the text is the reason. It is skipped."""


class LooksAhead(SeqbenchError):
    """A model's answer at a step depends on later steps, which its task does not allow."""


class Diverged(SeqbenchError):
    """The training loss, or the model's output, became NaN or infinite.

    ``step`` counts optimizer steps from 1; ``value`` is the figure as text (``nan``, ``inf``).
    """

    def __init__(self, step: int, value: str, what: str = "the loss"):
        self.step = step
        self.value = value
        super().__init__(f"{what} became {value} at step {step}")


def reason_of(error: BaseException) -> str:
    """One line: the error, and where it was raised, unless it is a :class:`SeqbenchError`."""
    text = " ".join(str(error).split())
    if isinstance(error, SeqbenchError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text or 'no message'}{place}"


def status_of(error: BaseException) -> Status:
    """The status of what ended with this error: ``skipped``, ``out_of_memory`` or ``failed``."""
    if isinstance(error, NotApplicable):
        return "skipped"
    out_of_memory = (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
    return "out_of_memory" if out_of_memory else "failed"


def check_system() -> None:
    """Check that seqbench supports this operating system.

    Raises:
        UsageError: it does not.
    """
    if sys.platform == "win32":
        raise UsageError(
            "seqbench runs on Linux and macOS; on Windows, install and run it in WSL "
            "(Windows Subsystem for Linux)"
        )
