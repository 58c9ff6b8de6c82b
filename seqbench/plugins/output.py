"""What plugins print does not belong to seqbench's own output."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

#: ``sys.stdout`` belongs to the whole process: two threads that replace it at once could restore
#: each other's replacement.
_LOCK = threading.RLock()


@contextlib.contextmanager
def printed_on_stderr() -> Iterator[None]:
    """What the block prints goes to stderr. One thread at a time."""
    with _LOCK, contextlib.redirect_stdout(sys.stderr):
        yield
