"""The terminal: its width, and whether output goes to one."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

#: Width of output to a file or a pipe, which have none.
PLAIN_WIDTH = 120


def wrapped(text: str, lead: int = 0) -> str:
    """Text for stderr, wrapped between words if stderr is a terminal.

    Args:
        lead: columns of the first line that are already used.
    """
    if not sys.stderr.isatty():
        return text
    width = shutil.get_terminal_size().columns
    lines = textwrap.wrap(
        text, width, initial_indent=" " * lead, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)[lead:]


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
