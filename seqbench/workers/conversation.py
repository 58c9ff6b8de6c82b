"""The contract of a worker that answers requests, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Conversation(Protocol):
    """A worker that answers requests until it is killed."""

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a request. Raises OSError if the worker is gone."""
        ...

    def receive(self, seconds: float) -> dict[str, Any]:
        """The next message.

        Raises:
            TimeoutError: no message arrived within ``seconds``.
            EOFError: the worker is gone.
            ValueError: the data is not a message of a worker.
        """
        ...

    def ending(self) -> str:
        """Wait for the worker to end; returns how it ended, as text."""
        ...

    def kill(self) -> None:
        """Kill the worker and every process that it has started."""
        ...
