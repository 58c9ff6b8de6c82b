"""A console for stdout or stderr, also when they are not a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

#: Width of output to a file or a pipe, which have none.
PLAIN_WIDTH = 120


def console(*, stderr: bool = False) -> Console:
    """A console for stdout or stderr. Without a terminal: plain lines, no control codes.

    ``NO_COLOR`` and ``COLUMNS`` are respected; with ``FORCE_COLOR``, output is colored without a
    terminal, too, as for a pager or the log of a CI system.
    """
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    plain = stream is None or not stream.isatty()
    width = PLAIN_WIDTH if plain and "COLUMNS" not in os.environ else None
    colors: Literal["standard"] | None = (
        "standard" if os.environ.get("FORCE_COLOR", "0") not in ("", "0", "false") else None
    )
    return Console(
        stderr=stderr,
        width=width,
        highlight=False,
        force_terminal=False if plain else None,
        color_system=colors if plain else "auto",
    )
