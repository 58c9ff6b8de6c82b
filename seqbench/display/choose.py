"""Which display fits: the live one of a terminal, that of a notebook, or plain lines."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from seqbench.display.console import console

if TYPE_CHECKING:
    from seqbench.display.progress import Display


def choose_display(progress: bool | None) -> Display | None:
    """The display to use.

    Args:
        progress: False: none; True: one in any case, plain lines on stderr if that is not a
            terminal; None: one on a terminal and in a notebook.
    """
    if progress is False:
        return None
    shell = _notebook()
    if shell is not None:
        from seqbench.display.notebook import NotebookDisplay

        return NotebookDisplay(partial(_publish, shell))
    if progress or (sys.stderr is not None and sys.stderr.isatty()):
        from seqbench.display.progress import Display

        return Display(console(stderr=True))
    return None


def _notebook() -> Any:
    """The shell of IPython if this process is the kernel of a notebook, or None."""
    ipython = sys.modules.get("IPython")
    get_shell = getattr(ipython, "get_ipython", None)
    shell = get_shell() if get_shell is not None else None
    # A kernel answers over a connection; on a terminal, IPython has none.
    return shell if getattr(shell, "kernel", None) is not None else None


def _publish(shell: Any, data: dict[str, str], *, id: str, update: bool) -> None:
    shell.display_pub.publish(data, metadata={}, transient={"display_id": id}, update=update)
