"""The line between runner and worker: messages of plain data, as one line of JSON each."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait
from typing import Any

#: No message is as long; what is was not written by a worker of ours.
LONGEST = 64 * 2**20

GARBLED = "something else was written to the line that carries the results"


class Channel:
    """One end of the line. The other end is open to whatever a plugin does: half a message never
    blocks the reader, and what is no message is told from it.
    """

    def __init__(self, connection: Connection):
        self._connection = connection
        self._lock = threading.Lock()  # a plugin may have threads that say something
        self._read = bytearray()
        self._looked = 0

    def fileno(self) -> int:
        """Makes it something to wait for."""
        return self._connection.fileno()

    def send(self, message: Mapping[str, Any]) -> None:
        """Writes one message. Raises OSError when the other side has gone."""
        rest = memoryview(json.dumps(message).encode() + b"\n")
        with self._lock:
            while rest:
                rest = rest[os.write(self.fileno(), rest) :]

    def receive(self, seconds: float | None = None) -> dict[str, Any]:
        """The next message.

        Args:
            seconds: how long to wait for it; None for ever.

        Raises:
            TimeoutError: there was none.
            EOFError: the other side has gone.
            ValueError: what came is no message.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while (line := self._line()) is None:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not wait([self._connection], left):
                raise TimeoutError(f"no message within {seconds:g} s")
            self._fill()
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise ValueError(GARBLED)
        return message

    def close(self) -> None:
        self._connection.close()

    def _line(self) -> bytes | None:
        """Takes one line out of what was read; None while it is incomplete."""
        end = self._read.find(b"\n", self._looked)
        self._looked = len(self._read)
        if end < 0:
            return None
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        self._looked = 0
        return line

    def _fill(self) -> None:
        try:
            data = os.read(self.fileno(), 1 << 16)
        except OSError as error:
            raise EOFError(str(error)) from error
        if not data:
            raise EOFError("the other side has gone")
        self._read += data
        if len(self._read) > LONGEST:
            raise ValueError(GARBLED)
