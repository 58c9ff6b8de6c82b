"""Whether other runs of this user are timing on the same machine."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

FILE = "timing.lock"

WARNING = "another run of seqbench was timing on this machine: the latency of both suffers"


class Mark:
    """That something is timed: others can see it, and it sees others.

    Whoever times holds a shared lock on one file, to which all who come later add a byte.
    """

    def __init__(self, file: FileIO | None):
        self._file, self._met = file, False
        if file is not None:
            self._met = not _lock(file, fcntl.LOCK_EX)
            file.write(b"." if self._met else b"")
            _lock(file, fcntl.LOCK_SH)
            self._size = file.seek(0, 2)

    def others(self) -> bool:
        """Whether there was anyone else so far."""
        if self._file is not None:
            self._met |= self._file.seek(0, 2) > self._size
        return self._met


@contextlib.contextmanager
def timing(folder: Path) -> Iterator[Mark]:
    """Marks that something is timed, for as long as that takes.

    Args:
        folder: the user's cache; where it cannot be written, nothing is marked.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mark = Mark(stack.enter_context((folder / FILE).open("ab", buffering=0)))
        except OSError:
            mark = Mark(None)
        yield mark


def _lock(file: FileIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
