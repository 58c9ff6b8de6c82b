"""Allows one runner per run folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from seqbench.errors import StoreError
from seqbench.store.files import append

LOCK_FILE = "run.lock"

#: Attempts to take the lock, and seconds between them: whoever only asks whether it is held also
#: holds it for a moment.
ATTEMPTS, PAUSE = 10, 0.05

BUSY = "{} is being run by another process: wait for it, or end it"


class RunLock:
    """Keeps other runners out of a run's folder."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._file: FileIO | None = None

    @property
    def held(self) -> bool:
        """Whether this very object holds the lock."""
        return self._file is not None

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Takes the lock for the block. Raises StoreError: another process has it."""
        path = self._folder / LOCK_FILE
        try:
            file = append(path)
        except OSError as error:
            raise StoreError(f"cannot lock {path}: {error.strerror}") from error
        with file:
            try:
                _lock(file)
            except BlockingIOError:
                raise StoreError(BUSY.format(self._folder)) from None
            except OSError as error:
                raise StoreError(f"cannot lock {path}: {error.strerror}") from error
            self._file = file
            try:
                yield
            finally:
                self._file = None

    def at_work(self) -> bool:
        """Whether a runner is at work in the folder."""
        try:
            with (self._folder / LOCK_FILE).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def check_free(self) -> None:
        """Whether a runner could resume this run. Raises StoreError."""
        if self.at_work():
            raise StoreError(BUSY.format(self._folder))
        if not os.access(self._folder, os.W_OK):
            raise StoreError(f"{self._folder} cannot be written to (permissions, read-only disk)")


def _lock(file: FileIO) -> None:
    """Raises BlockingIOError if another process keeps it, OSError if it cannot be locked."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(PAUSE)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
