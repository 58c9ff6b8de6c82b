"""Whether another run of this user is timing on the same machine."""

from __future__ import annotations

import contextlib
import fcntl
import warnings
from collections.abc import Iterator
from pathlib import Path

FILE = "timing.lock"


@contextlib.contextmanager
def timing(folder: Path) -> Iterator[None]:
    """Marks that something is timed; warns if something else is.

    Args:
        folder: the user's cache; where it cannot be written, nothing is marked.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / FILE).open("a"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            warnings.warn(
                "another run of seqbench is timing on this machine: the latency of both suffers",
                stacklevel=3,
            )
        except OSError:
            pass
        yield
