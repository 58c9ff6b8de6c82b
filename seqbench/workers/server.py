"""The fork server of the workers: started with their variables, and replaced when these change."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from multiprocessing import forkserver, resource_tracker
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any

from seqbench.workers.variables import import_variables

KEPT = (
    "environment variables have changed, but this process has children of its fork server: workers "
    "get the new variables, libraries that are loaded in it keep the old ones"
)


class ForkServer:
    """The only fork server of this process; multiprocessing allows one.

    It has loaded torch, which reads some environment variables only then. So it is replaced when a
    variable has changed, unless it has children, which would end with it.
    """

    def __init__(self) -> None:
        #: Held while workers start: the environment of this process is changed for a moment.
        self.lock = threading.RLock()
        #: The number of workers that have not ended.
        self.workers = 0
        #: Process id and variables of the server that was started here.
        self._started: tuple[int, Mapping[str, str]] | None = None
        os.register_at_fork(after_in_child=self._forget)

    def start(self, variables: Mapping[str, str]) -> None:
        """Start it if it is not running with these variables. Call this while holding ``lock``.

        It ignores Ctrl-C even while it loads torch: interrupted there, it would print a traceback.
        """
        self.start_tracker()  # first: starting it unblocks Ctrl-C
        pid = _server()._forkserver_pid
        if pid is not None and (pid, variables) != self._started:
            if self.workers or multiprocessing.active_children():
                warnings.warn(KEPT, stacklevel=2)
                return
            _server()._stop()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the server inherits it
        try:
            # Even if it runs: it may have been killed, and is then started again.
            with _started_with(variables):
                forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._started = (_server()._forkserver_pid, variables)

    def start_tracker(self) -> None:
        """Start multiprocessing's resource tracker if it is not running.

        When all workers have ended, it removes the semaphores of those that were killed, such as
        timing workers. It would print a warning about that to the user's terminal.
        """
        with self.lock:
            if _tracker()._fd is None or not _tracker()._check_alive():
                with _started_with({**os.environ, "PYTHONWARNINGS": "ignore"}):
                    resource_tracker.ensure_running()

    def _forget(self) -> None:
        """In a fork: leave the server to the parent. Only a parent can wait for its processes."""
        self.lock, self.workers, self._started = threading.RLock(), 0, None
        server = _server()
        if server._forkserver_pid is not None:
            os.close(server._forkserver_alive_fd)
            server._forkserver_pid = server._forkserver_alive_fd = None
            server._forkserver_address = None


def _server() -> Any:
    return getattr(forkserver, "_forkserver")  # noqa: B009 - typeshed hides it


def _tracker() -> Any:
    return getattr(resource_tracker, "_resource_tracker")  # noqa: B009


@contextlib.contextmanager
def _started_with(variables: Mapping[str, str]) -> Iterator[None]:
    """Give the Python processes that multiprocessing starts in this block their variables, and
    import nothing from the working folder in them.
    """
    before = dict(os.environ)
    unknown = sys.version_info < (3, 11) or sys.flags.ignore_environment  # PYTHONSAFEPATH
    directory = Path.cwd() if unknown else None
    _replace_environment({**variables, **import_variables()})
    try:
        if directory is not None:  # it is searched for modules, so it must have none
            os.chdir(get_temp_dir())
        yield
    finally:
        if directory is not None:
            os.chdir(directory)
        _replace_environment(before)


def _replace_environment(variables: Mapping[str, str]) -> None:
    """Change only what differs: another thread may read ``os.environ`` meanwhile."""
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update({n: v for n, v in variables.items() if os.environ.get(n) != v})
