"""The progress of a run in a notebook: one output that is replaced, and empty at the end."""

from __future__ import annotations

import html
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from seqbench.display.progress import Display
from seqbench.runner.context import Progress as Listener

if TYPE_CHECKING:
    from seqbench.executors.base import Activity, Outcome

#: Characters to a line, and how many of the latest lines stay above the bars.
WIDTH, LINES = 100, 8

#: Seconds between two updates, unless a job starts or ends.
PAUSE = 0.25


class NotebookDisplay(Display):
    """Shows the bars of :class:`.Display` below the latest lines. Use as a context manager.

    The output has no colors of its own, so that it is readable on any background, and is text
    where the notebook cannot show HTML. Warnings are left to the notebook.

    Args:
        publish: shows data by MIME type as an output of the cell; called with the id of the output,
            and with ``update`` if the id is shown already.
    """

    def __init__(self, publish: Callable[..., None]):
        # Whatever is printed to it is captured.
        console = Console(width=WIDTH, force_terminal=True, force_jupyter=False, color_system=None)
        super().__init__(console)
        self.live.disable = True  # shown here, not by rich
        self.publish = publish
        self.id = f"seqbench-{secrets.token_hex(8)}"
        self.latest: deque[str] = deque(maxlen=LINES)
        self.updated = 0.0
        self.published = False

    def __enter__(self) -> NotebookDisplay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.published:
            self._show("")

    def progress(self) -> Listener:
        """See :meth:`.Display.progress`."""
        plain = super().progress()

        def phase(name: str, jobs: Sequence[Activity]) -> None:
            plain.phase(name, jobs)
            self._update()

        def started(job: Activity) -> None:
            plain.started(job)
            self._update()

        def received(job: Activity, message: Mapping[str, Any]) -> None:
            plain.received(job, message)
            if time.monotonic() - self.updated >= PAUSE:
                self._update()

        def ended(outcome: Outcome) -> None:
            plain.ended(outcome)
            self._update()

        return replace(plain, started=started, received=received, phase=phase, ended=ended)

    def _write(self, line: Text, *, soft_wrap: bool = True) -> None:
        self.latest.append(line.plain)

    def _update(self) -> None:
        self.updated = time.monotonic()
        with self.console.capture() as capture:
            self.console.print(self.live.get_renderable())
        lines = [*self.latest, *(line.rstrip() for line in capture.get().splitlines())]
        self._show("\n".join(lines))

    def _show(self, text: str) -> None:
        markup = f'<pre style="white-space: pre-wrap">{html.escape(text)}</pre>'
        data = {"text/plain": text, "text/html": markup if text else ""}
        self.publish(data, id=self.id, update=self.published)
        self.published = True
