"""Detect other runs of this user that are timing on the same machine."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

FILE = "timing.lock"

WARNING = "another seqbench run was timing on this machine at the same time: latency is affected"


class Mark:
    """Announces that this run is timing, and detects other runs that are.

    A run that times holds a shared lock on one file. A run that starts timing while others hold it
    appends a byte, so that they notice.
    """

    def __init__(self, file: FileIO | None):
        self._file, self._met = file, False
        if file is not None:
            self._met = not _lock(file, fcntl.LOCK_EX)
            if self._met and file.writable():
                file.write(b".")
            _lock(file, fcntl.LOCK_SH)
            self._size = file.seek(0, 2)

    def others(self) -> bool:
        """Whether any other run has been timing since this one started to."""
        if self._file is not None:
            self._met |= self._file.seek(0, 2) > self._size
        return self._met


@contextlib.contextmanager
def timing(folder: Path) -> Iterator[Mark]:
    """Announce for the duration of the block that this run is timing.

    Args:
        folder: the user's cache. In that of another user, runs of both detect each other, if the
            later one may write there. Without locks, nothing is announced or detected.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mark = Mark(stack.enter_context(_open(folder / FILE)))
        except OSError:
            mark = Mark(None)
        yield mark


def _open(path: Path) -> FileIO:
    try:
        return path.open("ab", buffering=0)
    except PermissionError:
        return path.open("rb", buffering=0)


def _lock(file: FileIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
