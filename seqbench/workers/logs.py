"""The output of workers, in files of bounded size."""

from __future__ import annotations

import contextlib
import os
import threading
from io import FileIO
from multiprocessing.connection import Pipe, wait
from pathlib import Path

from seqbench.store.files import append

#: Bytes at the beginning and at the end of one worker's output that are kept.
BEGINNING = END = 256 * 1024

#: Bytes at the end that are searched for the last lines.
RECENT = 4096

#: Maximum number of reads to empty a pipe.
PIPE_READS = 64

#: Number of last lines of a log in the record of a failed trial.
LAST_LINES = 10


class BoundedLog:
    """Appends to a file, and leaves out the middle if the output is too long.

    The end is kept in memory until :meth:`close`. If the file cannot be written, only the log is
    lost.
    """

    def __init__(self, path: Path):
        self.left_out = 0
        self.recent = b""
        self._room, self._end = BEGINNING, bytearray()
        self._file: FileIO | None = None
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            self._file = append(path)

    def write(self, data: bytes) -> None:
        self.recent = (self.recent + data)[-RECENT:]
        first, rest = data[: self._room], data[self._room :]
        self._room -= len(first)
        self._put(first)
        self._end += rest
        if len(self._end) > 2 * END:
            self.left_out += len(self._end) - END
            del self._end[:-END]

    def close(self) -> None:
        if self.left_out:
            self._put(f"\n… {self.left_out:,} bytes left out …\n".encode())
        self._put(bytes(self._end))
        if self._file is not None:
            self._file.close()

    def last_lines(self) -> list[str]:
        """The last non-blank lines."""
        lines = self.recent.decode("utf-8", "replace").splitlines()
        return [line for line in lines if line.strip()][-LAST_LINES:]

    def _put(self, data: bytes) -> None:
        if self._file is not None and data:
            with contextlib.suppress(OSError, ValueError):
                self._file.write(data)


class Capture:
    """Copies one worker's output from a pipe to its log, in a thread.

    Args:
        path: the log.

    Attributes:
        writer: the worker's end of the pipe; the caller passes it on, then closes it here.
    """

    def __init__(self, path: Path):
        self._reader, self.writer = Pipe(duplex=False)
        self._stopped, self._stop = Pipe(duplex=False)
        self.log = BoundedLog(path)
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Copy what is left in the pipe, even if its other end is still open."""
        self.writer.close()
        self._stop.close()
        self._thread.join()
        self._reader.close()
        self._stopped.close()
        self.log.close()

    def _pump(self) -> None:
        rest = PIPE_READS
        while rest:
            ready = wait([self._reader, self._stopped])
            if self._stopped in ready:
                rest -= 1  # a process that is left over may print forever
            if self._reader not in ready:
                return
            data = os.read(self._reader.fileno(), 1 << 16)
            if not data:
                return
            self.log.write(data)
