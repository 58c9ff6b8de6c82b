"""Kills processes that workers leave behind, even if the runner itself is killed.

Linux only; on other systems, processes that a plugin starts outside its worker's process group
survive. Also run as a program by the runner (see :func:`watch`), so it imports nothing of seqbench.
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

#: Environment variable: the runner that a process descends from.
RUNNER = "SEQBENCH_RUNNER"

#: Environment variable: the worker that started a process.
WORKER = "SEQBENCH_WORKER"

_TOKEN = secrets.token_hex(8)

#: Number of final sweeps for processes started meanwhile, and the seconds between them.
SWEEPS, PAUSE = 40, 0.05


def mark() -> str:
    """The value that identifies descendants of this process; a fork has a different one."""
    return f"{os.getpid()}-{_TOKEN}"


def end_orphans(folder: str) -> None:
    """Kill processes that a worker has left behind, also outside its process group, unless they
    were started with an environment that hides their origin.

    They are identified by two variables: ``RUNNER`` marks all descendants of this runner,
    ``WORKER`` the programs that one worker started. A plain fork of a worker does not have the
    second; it is an orphan if its parent has ended (the parent of a worker is the fork server).

    Args:
        folder: the worker's folder.
    """
    own = f"{WORKER}={folder}".encode()
    marked = {pid: (parent, variables) for pid, parent, variables in _descendants(mark())}
    spared = {os.getpid(), *marked}
    for pid, (parent, variables) in marked.items():
        program = any(v.startswith(WORKER.encode() + b"=") for v in variables)
        if own in variables or (not program and parent not in spared):
            _kill(pid)


def watch(*folders: str) -> subprocess.Popen[bytes]:
    """Start a program that waits for this process to end, for whatever reason, then kills all
    descendants and removes ``folders``.

    It detects the end by its standard input, which only this process holds open.
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
            _kill(pid)
        time.sleep(PAUSE)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _descendants(of: str) -> Iterator[tuple[int, int, set[bytes]]]:
    """Process id, parent id and environment of every descendant of a runner."""
    own = f"{RUNNER}={of}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            variables = set((folder / "environ").read_bytes().split(b"\0"))
            if own in variables:
                # The name of the program, in parentheses, may contain anything.
                parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
                yield int(folder.name), int(parent), variables


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _watch(*sys.argv[1:])
