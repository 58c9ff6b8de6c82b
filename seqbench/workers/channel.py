"""The channel between runner and worker: messages of plain data, one line of JSON each."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait
from typing import Any

#: Maximum length of a message in bytes; anything longer was not written by seqbench.
LONGEST = 64 * 2**20

CORRUPTED = "the worker's result channel was corrupted"


class Channel:
    """One end of the channel. A plugin may write anything to the other end: an incomplete message
    never blocks the reader, and anything that is not a message is recognized.
    """

    def __init__(self, connection: Connection):
        self._connection = connection
        self._lock = threading.Lock()  # threads of a plugin may send as well
        self._read = bytearray()
        self._searched = 0

    def fileno(self) -> int:
        """The file descriptor, so that one can wait for it."""
        return self._connection.fileno()

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one message. Raises OSError if the other side is gone."""
        rest = memoryview(json.dumps(message).encode() + b"\n")
        with self._lock:
            while rest:
                rest = rest[os.write(self.fileno(), rest) :]

    def receive(self, seconds: float | None = None) -> dict[str, Any]:
        """The next message.

        Args:
            seconds: time limit; None for no limit.

        Raises:
            TimeoutError: no message arrived in time.
            EOFError: the other side is gone.
            ValueError: the data is not a message.
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
            raise ValueError(CORRUPTED)
        return message

    def close(self) -> None:
        self._connection.close()

    def _line(self) -> bytes | None:
        """Remove the first line from the buffer; None while it is incomplete."""
        end = self._read.find(b"\n", self._searched)
        self._searched = len(self._read)
        if end < 0:
            return None
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        self._searched = 0
        return line

    def _fill(self) -> None:
        try:
            data = os.read(self.fileno(), 1 << 16)
        except OSError as error:
            raise EOFError(str(error)) from error
        if not data:
            raise EOFError("the other side is gone")
        self._read += data
        if len(self._read) > LONGEST:
            raise ValueError(CORRUPTED)
