"""Whether another run of this user is timing on the same machine."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

FILE = "timing.lock"
WARNING = "another run of seqbench is timing on this machine: the latency of both suffers"


@contextlib.contextmanager
def timing(folder: Path) -> Iterator[bool]:
    """Marks that something is timed, for as long as that takes; False if something else is.

    Args:
        folder: the user's cache; where it cannot be written, nothing is marked.
    """
    with contextlib.ExitStack() as stack:
        alone = True
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / FILE).open("a"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            alone = False
        except OSError:
            pass
        yield alone
