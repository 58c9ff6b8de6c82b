"""A console for stdout or stderr, also when they are not a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

#: Width of output to a file or a pipe, which have none.
PLAIN_WIDTH = 120


def console(*, stderr: bool = False) -> Console:
    """A console for stdout or stderr. Without a terminal: plain lines, no control codes.

    ``NO_COLOR`` and ``COLUMNS`` are respected.
    """
    from rich.console import Console

    plain = not (sys.stderr if stderr else sys.stdout).isatty()
    width = PLAIN_WIDTH if plain and "COLUMNS" not in os.environ else None
    return Console(
        stderr=stderr,
        width=width,
        highlight=False,
        force_terminal=False if plain else None,
        color_system=None if plain else "auto",
    )
