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
from seqbench.store.files import UNSUPPORTED, append
from seqbench.store.owner_file import OwnerFile

#: The second one is only used on file systems without locks.
LOCK_FILE, OWNER_FILE = "run.lock", "run.owner"

#: Attempts to acquire the lock, and seconds between them: a process that only queries the lock also
#: holds it for a moment.
ATTEMPTS, PAUSE = 10, 0.05

BUSY = "{} is in use by another seqbench process: wait until it ends, or stop it"


class RunLock:
    """The lock that keeps other runners out of a run's folder."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._file: FileIO | None = None
        self._owner = OwnerFile(folder / OWNER_FILE)

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock for the block. Raises StoreError if another process holds it."""
        path = self._folder / LOCK_FILE
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(append(path))
                try:
                    _lock(file)
                except OSError as error:
                    if error.errno not in UNSUPPORTED:
                        raise
                    stack.enter_context(self._owner.hold())
            except BlockingIOError:
                raise StoreError(self._busy()) from None
            except OSError as error:
                raise StoreError(
                    f"cannot lock {path}: {error.strerror}; choose another folder with --out"
                ) from error
            self._file = file
            try:
                yield
            finally:
                self._file = None

    def in_use(self) -> bool:
        """Whether a runner is using the folder."""
        try:
            with (self._folder / LOCK_FILE).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            return error.errno in UNSUPPORTED and self._owner.alive()
        return False

    def require_free(self) -> None:
        """Raise StoreError if this run cannot be resumed now: it is in use or read-only."""
        if self.in_use():
            raise StoreError(self._busy())
        if not os.access(self._folder, os.W_OK):
            raise StoreError(f"cannot write to {self._folder}: check permissions and disk")

    def _busy(self) -> str:
        return BUSY.format(self._folder) + self._owner.hint()


def _lock(file: FileIO) -> None:
    """Lock a file. Raises BlockingIOError if another process holds it, OSError if it cannot be."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(PAUSE)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
