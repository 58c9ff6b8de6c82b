"""A worker process of its own for one job, forked from a server that has torch loaded.

Importing torch takes seconds; a fork of a server that has done it takes milliseconds. What crosses
between runner and worker is JSON, so that a plugin's objects never run code in the runner.
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
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import get_temp_dir
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from seqbench.errors import WorkerError
from seqbench.workers import orphans
from seqbench.workers.channel import GARBLED, Channel
from seqbench.workers.logs import Capture
from seqbench.workers.main import worker_main
from seqbench.workers.messages import Assignment, is_valid_message

#: Read by libraries when they load, so they must be set before the server imports torch. More
#: threads can be asked for later, with ``torch.set_num_threads``.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}

#: The second is imported by torch itself when the first optimizer is made.
PRELOAD = [
    "torch",
    "torch._dynamo",
    "pydantic",
    "safetensors.torch",
    "seqbench.training.job",
    "seqbench.training.loop",
    "seqbench.measure.latency.timer",
    "seqbench.measure.memory",
    "seqbench.measure.cost",
    "seqbench.workers.preload",
]

END_SECONDS = 2.0

#: What multiprocessing says of a process whose server has gone.
LOST = 255


class WorkerProcess:
    """One running worker.

    Args:
        assignment: what it is to do; its ``folder`` is made here.
        log: file that takes what the worker prints (see :mod:`seqbench.workers.logs`).
    """

    def __init__(self, assignment: Assignment, log: Path):
        context = _context()
        try:
            self.folder = TemporaryDirectory(dir=_PLACE.folder(), ignore_cleanup_errors=True)
            pipe: tuple[Connection, Connection] = context.Pipe()
            self.capture = Capture(log)
        except OSError as error:
            raise WorkerError(f"cannot start a worker process: {error}") from error
        self.channel, theirs = Channel(pipe[0]), pipe[1]
        assignment = replace(assignment, folder=self.folder.name)
        arguments = (theirs, self.capture.writer, assignment.to_json())
        process = context.Process(target=worker_main, args=arguments)
        with _server_environment(), _no_main_module():
            try:
                _start_server(context)
                process.start()
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
        #: Its exit code, if it ended without being made to.
        self.ended_as: int | None = None

    @property
    def sentinel(self) -> int:
        """Becomes readable when the process ends (for ``multiprocessing.connection.wait``)."""
        return self.process.sentinel

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends a request to a worker that answers questions. Raises OSError: it is gone."""
        self.channel.send(message)

    def receive(self, seconds: float) -> dict[str, Any]:
        """The next message within so many seconds.

        Raises:
            TimeoutError, EOFError, ValueError: as :meth:`.Channel.receive`; also
                where it is a message, but none that a worker sends.
        """
        message = self.channel.receive(seconds)
        if not is_valid_message(message):
            raise ValueError(GARBLED)
        return message

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.is_alive()

    def kill(self, grace: float = 0.0) -> None:
        """Ends the worker and everything that it has started; returns when it is gone.

        Args:
            grace: seconds that it is given to end by itself after SIGTERM.
        """
        if self.closed:
            return
        if grace:
            self._signal_group(signal.SIGTERM)
            self.process.join(grace)
        self._signal_group(signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Waits a moment for the process to end by itself, then makes it; frees what it held.

        Only once: later its number may be that of another process.
        """
        if not self.closed:
            with interrupts_wait():
                self._close()

    def _close(self) -> None:
        self.closed = True
        self.process.join(END_SECONDS)
        self.ended_as = self.process.exitcode
        self._signal_group(signal.SIGKILL)  # what the worker left running, or the worker itself
        self.process.join(END_SECONDS)
        orphans.end_orphans(self.folder.name)
        self.channel.close()
        self.capture.close()
        self.folder.cleanup()

    def last_lines(self) -> list[str]:
        """The last lines that the worker printed."""
        return self.capture.log.last_lines()

    def killed(self) -> bool:
        """Whether a signal ended the process, or the server was lost that it was forked from; it
        may have had no part in that.
        """
        return self.ended_as is not None and (self.ended_as < 0 or self.ended_as == LOST)

    def ending(self) -> str:
        """Waits for the process to end; how it did: ``killed by SIGSEGV``, ``exit code 3``."""
        self.close()
        code = self.ended_as
        if code is None:
            return "the process no longer answered, and was ended"
        if code == LOST:
            return "the process was lost with the server that it was forked from"
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            hint = " (by the system, for want of memory?)" if name == "SIGKILL" else ""
            return f"the process was killed by {name}{hint}"
        return f"the process ended by itself with exit code {code}"

    def _signal_group(self, number: signal.Signals) -> None:
        """Signals the worker's process group, whose number is that of the worker."""
        if self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


class _Place:
    """Where workers of this process have their folders, and what watches over it: however this
    process ends, that folder and all that descends from its workers end with it. A fork of this
    process makes a place of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[str, subprocess.Popen[bytes]] | None = None
        self._forked = False
        os.register_at_fork(after_in_child=self._forget)

    def folder(self) -> str:
        """Makes it when it is first asked for. Raises OSError."""
        with self._lock:
            if self._made is None:
                resource_tracker.ensure_running()  # beforehand: it is none of the workers'
                folder = mkdtemp(prefix="seqbench-")
                # Multiprocessing has one, too, which stays where this process is killed; a fork
                # shares that of its parent.
                theirs = [] if self._forked else [get_temp_dir()]
                self._made = folder, orphans.watch(folder, *theirs)
            return self._made[0]

    def _forget(self) -> None:
        """In a fork: whoever watches the parent must see that it ends."""
        self._lock = threading.Lock()
        self._forked = True
        if self._made is not None and self._made[1].stdin is not None:
            self._made[1].stdin.close()
        self._made = None


_PLACE = _Place()


def _context() -> Any:
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(PRELOAD)
    return context


@contextlib.contextmanager
def interrupts_wait() -> Iterator[None]:
    """Puts off Ctrl-C and its like until the end of the block.

    A worker is started, and put where it will be found and ended, inside such a block: one that is
    half started would print a traceback, and one that nobody knows of would stay.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    came: list[tuple[int, types.FrameType | None]] = []
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if callable(before[number]):
            signal.signal(number, lambda *signalled: came.append(signalled))
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
        for number, frame in came:
            handler = before[number]
            if callable(handler):
                handler(number, frame)


def _start_server(context: Any) -> None:
    """Starts what workers are forked from, if it does not run yet. It never hears Ctrl-C, not even
    while it loads torch: interrupted there, it would print a traceback.
    """
    if context.get_start_method() != "forkserver":
        return
    resource_tracker.ensure_running()  # beforehand: as it starts, it lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the server inherits it
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _server_environment() -> Iterator[None]:
    """Variables for the server that is started by the first worker."""
    wanted = {**WORKER_ENVIRONMENT, orphans.RUNNER: orphans.mark()}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Keeps multiprocessing from importing the caller's script again in every worker.

    Without it a script that calls :func:`seqbench.run` outside ``if __name__ == "__main__"`` would
    start itself over and over.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
