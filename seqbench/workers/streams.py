"""Standard streams that the caller has closed, as ``seqbench run … <&- >&-`` or a daemon does."""

from __future__ import annotations

import os

#: File descriptors of the standard streams, and how each is opened.
STANDARD = ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY))


def open_closed_streams() -> None:
    """Open ``/dev/null`` for each standard stream that is closed.

    Otherwise the next file that is opened, for example a pipe to a worker, gets its number and
    receives what is printed.
    """
    for number, flags in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)  # the lowest free number, which is this one
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
