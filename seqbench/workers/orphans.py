"""Ends what workers leave behind, also when the runner itself is killed.

Linux only; elsewhere nothing is found, and what a plugin puts outside its worker's process group
stays. Run as a program (by the runner, see :func:`watch`) it needs nothing but this file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: Says in the environment of a process which runner it descends from.
RUNNER = "SEQBENCH_RUNNER"

#: Says in the environment of what a worker starts which worker that was.
WORKER = "SEQBENCH_WORKER"

_TOKEN = secrets.token_hex(8)

#: How often, and how many seconds apart, the last sweep looks for what has started meanwhile.
SWEEPS, PAUSE = 40, 0.05


def mark() -> str:
    """The value by which what descends from this process is known; that of a fork is another."""
    return f"{os.getpid()}-{_TOKEN}"


def end_orphans(folder: str) -> None:
    """Ends what a worker has started and left behind, also outside its process group, unless it was
    started with an environment that hides where it comes from.

    Such a process is known by two variables: the first is that of all that descends from this
    runner, the second that of the worker which started the program. A mere fork of a worker does
    not have the second; it is left behind if its parent has ended (that of a worker is the server
    that all are forked from).

    Args:
        folder: the worker's own.
    """
    own = f"{WORKER}={folder}".encode()
    marked = {pid: (parent, variables) for pid, parent, variables in _descendants(mark())}
    spared = {os.getpid(), *marked}
    for pid, (parent, variables) in marked.items():
        program = any(v.startswith(WORKER.encode() + b"=") for v in variables)
        if own in variables or (not program and parent not in spared):
            _end(pid)


def watch(*folders: str) -> subprocess.Popen[bytes]:
    """Starts a program that waits for this one to end, however that comes to be, and then ends all
    that descends from it and removes ``folders``.

    It knows by its standard input, which nobody but this process holds open.
    """
    command = [sys.executable, "-I", "-S", __file__, mark(), *folders]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd="/", start_new_session=True,
    )  # fmt: skip


def _watch(of: str, *folders: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    for _ in range(SWEEPS):
        found = [pid for pid, _, _ in _descendants(of)]
        if not found:
            break
        for pid in found:
            _end(pid)
        time.sleep(PAUSE)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _descendants(of: str) -> Iterator[tuple[int, int, set[bytes]]]:
    """Number, parent and variables of every process that descends from a runner."""
    own = f"{RUNNER}={of}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            variables = set((folder / "environ").read_bytes().split(b"\0"))
            if own in variables:
                # The name of the program, in brackets, may hold anything.
                parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
                yield int(folder.name), int(parent), variables


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _watch(*sys.argv[1:])
