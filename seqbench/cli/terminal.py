"""The terminal: its width, and whether output goes to one."""

from __future__ import annotations

import shutil
import sys
import textwrap

from seqbench.display.console import console

__all__ = ["console", "wrapped"]


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
