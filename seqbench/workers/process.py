"""The runner's side of a worker: one process per job, forked from a server that has torch loaded.

Importing torch takes seconds; forking a server that has imported it takes milliseconds. Runner and
worker exchange JSON, so that a plugin's objects never run code in the runner.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from seqbench.errors import WorkerError
from seqbench.workers import orphans
from seqbench.workers.channel import CORRUPTED, Channel
from seqbench.workers.logs import Capture
from seqbench.workers.main import worker_main
from seqbench.workers.messages import Assignment, is_valid_message
from seqbench.workers.server import ForkServer
from seqbench.workers.streams import open_closed_streams
from seqbench.workers.temporary import temporary_folder, use_for_multiprocessing
from seqbench.workers.variables import worker_variables

#: torch imports ``torch._dynamo`` itself when the first optimizer is created.
PRELOAD = [
    "seqbench.workers.preload",
    "torch",
    "torch._dynamo",
    "pydantic",
    "safetensors.torch",
    "seqbench.training.job",
    "seqbench.training.loop",
    "seqbench.measure.latency.sampler",
    "seqbench.measure.memory",
    "seqbench.measure.cost",
]

END_SECONDS = 2.0

#: The exit code that multiprocessing reports for a process whose server is gone.
LOST = 255


class WorkerProcess:
    """One running worker.

    Args:
        assignment: its task; the ``folder`` is created here.
        log: file for the worker's output (see :mod:`seqbench.workers.logs`).
    """

    def __init__(self, assignment: Assignment, log: Path):
        if multiprocessing.current_process().daemon:
            raise WorkerError(
                "workers cannot be started in a daemonic process, such as one of "
                "multiprocessing.Pool; use concurrent.futures.ProcessPoolExecutor"
            )
        context = _context()
        open_closed_streams()
        try:
            folder = _WORKERS_FOLDER.path()
            self.folder = TemporaryDirectory(dir=folder, ignore_cleanup_errors=True)
            pipe: tuple[Connection, Connection] = context.Pipe()
            self.capture = Capture(log)
        except (OSError, RuntimeError) as error:  # no more threads, too
            raise WorkerError(f"cannot start a worker process: {error}") from error
        self.channel, theirs = Channel(pipe[0]), pipe[1]
        with _SERVER.lock, _no_main_module():
            variables = {**worker_variables(), orphans.RUNNER: orphans.mark()}
            assignment = replace(
                assignment, folder=self.folder.name, variables=variables, cores=_cores()
            )
            arguments = (theirs, self.capture.writer, assignment.to_json())
            process = context.Process(target=worker_main, args=arguments)
            try:
                _SERVER.start(variables)
                process.start()
                _SERVER.workers += 1
            except (EOFError, OSError) as error:
                self.capture.close()
                self.folder.cleanup()
                raise WorkerError(
                    f"cannot start a worker process ({type(error).__name__}: {error}); "
                    f"does `{sys.executable} -c 'import torch'` work?"
                ) from error
        theirs.close()
        self.capture.writer.close()
        self.process: BaseProcess = process
        self.closed = False
        #: Its exit code, if it ended by itself.
        self.ended_as: int | None = None

    @property
    def sentinel(self) -> int:
        """Becomes readable when the process ends (for ``multiprocessing.connection.wait``)."""
        return self.process.sentinel

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a request to the worker. Raises OSError if it is gone."""
        self.channel.send(message)

    def receive(self, seconds: float) -> dict[str, Any]:
        """The next message within ``seconds``.

        Raises:
            TimeoutError, EOFError, ValueError: like :meth:`.Channel.receive`; ValueError also for
                a message that no worker sends.
        """
        message = self.channel.receive(seconds)
        if not is_valid_message(message):
            raise ValueError(CORRUPTED)
        return message

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.is_alive()

    def kill(self, grace: float = 0.0) -> None:
        """Kill the worker and every process that it has started, and wait until it is gone.

        Args:
            grace: seconds to exit by itself after SIGTERM.
        """
        if self.closed:
            return
        if grace:
            self._signal_group(signal.SIGTERM)
            self.process.join(grace)
        self._signal_group(signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Wait a moment for the process to end, kill it otherwise, and free its resources.

        Does so only once: later, its id may belong to another process.
        """
        if not self.closed:
            with interrupts_wait():
                self._close()

    def _close(self) -> None:
        self.closed = True
        self.process.join(END_SECONDS)
        self.ended_as = self.process.exitcode
        self._signal_group(signal.SIGKILL)  # processes it left running, or itself
        self.process.join(END_SECONDS)
        orphans.end_orphans(self.folder.name)
        self.channel.close()
        self.capture.close()
        self.folder.cleanup()
        with _SERVER.lock:
            _SERVER.workers -= 1

    def last_lines(self) -> list[str]:
        """The last lines that the worker printed."""
        return self.capture.log.last_lines()

    def killed(self) -> bool:
        """Whether a signal killed the process, or its fork server was lost; the cause may lie
        outside the process.
        """
        return self.ended_as is not None and (self.ended_as < 0 or self.ended_as == LOST)

    def ending(self) -> str:
        """Wait for the process to end; returns how it ended, as text."""
        self.close()
        code = self.ended_as
        if code is None:
            return "the process stopped responding and was killed"
        if code == LOST:
            return "the process was lost with its fork server"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            hint = " (possibly out of memory)" if name == "SIGKILL" else ""
            return f"the process was killed by {name}{hint}"
        return f"the process exited with code {code}"

    def _signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the worker's process group, whose id is that of the worker."""
        if self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


class _WorkersFolder:
    """The parent of the workers' folders, with a watcher: however this process ends, the watcher
    removes the folder and kills all descendants of the workers. A fork of this process gets its
    own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[str, subprocess.Popen[bytes]] | None = None
        self._forked = False
        os.register_at_fork(after_in_child=self._forget)

    def path(self) -> str:
        """The folder, created at the first call. Raises OSError."""
        with _SERVER.lock, self._lock:
            if self._made is None:
                _require_working_folder()
                place = temporary_folder()
                theirs = use_for_multiprocessing(place)
                _SERVER.start_tracker()  # first: it must not count as a worker's process
                folder = mkdtemp(prefix="seqbench-", dir=place)
                # Also remove multiprocessing's own, which stays if this process is killed; a fork
                # shares that of its parent.
                removed = (folder,) if self._forked else (folder, theirs)
                self._made = folder, orphans.watch(*removed)
            return self._made[0]

    def _forget(self) -> None:
        """In a fork: release the parent's watcher, so that it sees the parent end."""
        self._lock = threading.Lock()
        self._forked = True
        if self._made is not None and self._made[1].stdin is not None:
            self._made[1].stdin.close()
        self._made = None


_WORKERS_FOLDER = _WorkersFolder()


def _require_working_folder() -> None:
    """Raise OSError if it was deleted: libraries of torch end a process that starts there."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise OSError("the working folder no longer exists; change to another one") from None


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


@contextlib.contextmanager
def interrupts_wait() -> Iterator[None]:
    """Defer Ctrl-C and similar signals until the end of the block.

    A worker is started and registered inside such a block: a half-started one would print a
    traceback, and an unregistered one would survive.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    deferred: list[tuple[int, types.FrameType | None]] = []
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if callable(before[number]):
            signal.signal(number, lambda *received: deferred.append(received))
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
        for number, frame in deferred:
            handler = before[number]
            if callable(handler):
                handler(number, frame)


_SERVER = ForkServer()


def _cores() -> tuple[int, ...]:
    return tuple(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ()


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Keep multiprocessing from importing the caller's script again in every worker.

    Otherwise a script that calls :func:`seqbench.run` outside ``if __name__ == "__main__"`` would
    start itself over and over.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
