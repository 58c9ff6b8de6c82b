"""Isolates a worker process, and makes it end with its runner."""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Collection
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

from seqbench.workers.messages import Assignment
from seqbench.workers.orphans import WORKER

#: The fork server opens no file descriptors above this.
MANY_FILES = 4096

#: From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1


def isolate(output: Connection, assignment: Assignment, kept: Collection[int]) -> None:
    """Isolate this process: its own process group and folder, no open files except ``kept``; it
    ends when the process that started it ends.
    """
    gc.freeze()  # the objects of torch need not be scanned again and again
    with contextlib.suppress(OSError):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner decides what Ctrl-C means
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, {signal.SIGINT}
    )  # programs that plugins start may handle it
    sys.excepthook = sys.__excepthook__  # see seqbench.workers.preload
    for number in (1, 2):
        os.dup2(output.fileno(), number)
    sys.stdout, sys.stderr = _log_stream(1), _log_stream(2)
    output.close()
    _close_files(kept)
    os.environ.clear()
    os.environ.update({**assignment.variables, WORKER: assignment.folder})
    if assignment.cores:  # a library may have bound the fork server to a core
        with contextlib.suppress(OSError):  # a core that was taken away meanwhile
            os.sched_setaffinity(0, assignment.cores)
    if not assignment.keep_directory:
        sys.path[:] = [str(Path(entry).absolute()) for entry in sys.path]
        os.chdir(assignment.folder)
    _limit_memory(assignment.memory)
    _die_with_server()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _log_stream(number: int) -> io.TextIOWrapper:
    """A stream that keeps the order of lines; logs are UTF-8, whatever the terminal's encoding."""
    raw = io.FileIO(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )


def _close_files(kept: Collection[int]) -> None:
    """Close inherited files of the fork server, which a plugin could corrupt."""
    importlib.metadata.MetadataPathFinder().invalidate_caches()  # they hold open archives
    parent = multiprocessing.parent_process()
    own = {*kept, resource_tracker.getfd(), parent.sentinel if parent else None}
    ends = sorted(number for number in own if number is not None)
    for after, before in zip([2, *ends], [*ends, MANY_FILES], strict=True):
        os.closerange(after + 1, before)


def _limit_memory(limit: int | None) -> None:
    """Limit the private memory of this process, torch included: larger allocations fail.

    Linux counts private writable memory (RLIMIT_DATA); macOS does not enforce the limit.

    Args:
        limit: bytes, or None.
    """
    if limit is not None:
        import resource

        with contextlib.suppress(OSError, ValueError):  # above the limit of the system
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _die_with_server() -> None:
    """Make this process end with the fork server, and so with the runner, even if it is stuck and
    none of its threads runs. Linux only.
    """
    with contextlib.suppress(AttributeError, OSError):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(os.getpgid(0), signal.SIGKILL)
