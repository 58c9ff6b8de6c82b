"""A worker that answers questions, whatever it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Conversation(Protocol):
    """A worker that answers questions until it is killed."""

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends a request. Raises OSError: the worker is gone."""
        ...

    def receive(self, seconds: float) -> dict[str, Any]:
        """The next message.

        Raises:
            TimeoutError: there was none within ``seconds``.
            EOFError: the worker is gone.
            ValueError: it is not a message that a worker sends.
        """
        ...

    def ending(self) -> str:
        """Waits for the worker to end; how it did, in words."""
        ...

    def kill(self) -> None:
        """Ends the worker and everything that it has started."""
        ...
