"""Keeps a worker apart from everything else, and makes it end with its runner."""

from __future__ import annotations

import contextlib
import gc
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

#: Files with higher numbers are none that a server has opened.
MANY_FILES = 4096

#: From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1


def isolate(output: Connection, assignment: Assignment, kept: Collection[int]) -> None:
    """A process group and a folder of its own, no open files but those ``kept``; ends when its
    starter ends.
    """
    gc.freeze()  # what torch has brought along need not be looked through again and again
    with contextlib.suppress(OSError):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner decides what Ctrl-C means
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # what plugins start may heed it
    sys.excepthook = sys.__excepthook__  # see seqbench.workers.preload
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        os.dup2(output.fileno(), number)
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # in their order
    output.close()
    _close_files(kept)
    os.environ[WORKER] = assignment.folder
    if not assignment.keep_directory:
        sys.path[:] = [str(Path(place).absolute()) for place in sys.path]
        os.chdir(assignment.folder)
    _limit_memory(assignment.memory)
    _die_with_server()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _close_files(kept: Collection[int]) -> None:
    """Closes what comes from the server, whose own lines a plugin could garble."""
    parent = multiprocessing.parent_process()
    own = {*kept, resource_tracker.getfd(), parent.sentinel if parent else None}
    ends = sorted(number for number in own if number is not None)
    for after, before in zip([2, *ends], [*ends, MANY_FILES], strict=True):
        os.closerange(after + 1, before)


def _limit_memory(limit: int | None) -> None:
    """No more memory of one's own than ``limit`` bytes, torch included: asking for more fails.

    Linux counts what a process may write to and shares with nobody (RLIMIT_DATA); macOS nothing.
    """
    if limit is not None:
        import resource

        with contextlib.suppress(OSError, ValueError):  # more than the system allows anyway
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _die_with_server() -> None:
    """Even a worker that is stuck, so that no thread of it runs, ends with the server it is forked
    from, and so with the runner. Linux only.
    """
    with contextlib.suppress(AttributeError, OSError):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(os.getpgid(0), signal.SIGKILL)
