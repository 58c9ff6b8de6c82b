"""The standard streams of the program: closed, full, without a reader, or in any encoding."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import select
import sys
from typing import Any

from seqbench.workers.streams import open_closed_streams

#: What an encoding without these characters shows instead; any other is shown as an escape.
PLAIN = {
    "±": "+-", "–": "-", "—": "-", "−": "-", "·": "*", "•": "*", "×": "x", "÷": "/",  # noqa: RUF001
    "µ": "u", "μ": "u", "≥": ">=", "≤": "<=", "≈": "~", "∞": "inf", "…": "...", "→": "->",
    "²": "^2", "⁰": "^0", "ⁿ": "^n", "√": "sqrt", "─": "-", "━": "-", "│": "|", "├": "|", "└": "`",
    "“": '"', "”": '"', "‘": "'", "’": "'", "\N{NO-BREAK SPACE}": " ",  # noqa: RUF001
}  # fmt: skip

#: Name of the error handler below, and of ASCII as a codec that click does not replace by UTF-8.
HANDLER, ASCII = "seqbench_plain", "seqbench_ascii"


class _Stream(io.FileIO):
    """A standard stream to write to. A reader that is gone (``| head``) ends the output, and not
    the program.

    Args:
        number: file descriptor.
        optional: whether any error ends the output: for messages, and for a terminal.
    """

    def __init__(self, number: int, *, optional: bool):
        super().__init__(number, "w", closefd=False)
        self._optional = optional

    def write(self, data: Any) -> int:
        """Write everything. Raises OutputError."""
        rest = memoryview(data).cast("B")
        while rest:
            try:
                written = super().write(rest)
            except OSError as error:
                if error.errno != errno.EPIPE and not self._optional:
                    raise OutputError(error.errno, error.strerror) from error
                self._discard()
                continue
            if written is None:  # another program has made the pipe non-blocking
                select.select([], [self], [])
            else:
                rest = rest[written:]
        return len(data)

    def _discard(self) -> None:
        opened = os.open(os.devnull, os.O_WRONLY)
        os.dup2(opened, self.fileno())
        os.close(opened)


class OutputError(OSError):
    """The standard output cannot be written."""


def set_up_streams() -> None:
    """Make all three standard streams usable; called once, when the program starts.

    - A closed one is ``/dev/null``.
    - What its encoding lacks is shown in ASCII: ``+-`` for ``±``, ``\\u2605`` for ``★``, ``\\xe9``
      for a byte of a file name that is not UTF-8.
    - A reader that goes away ends the output and not the program; of messages on stderr, and on a
      terminal, so does every other error.
    """
    open_closed_streams()
    codecs.register_error(HANDLER, _in_plain_characters)
    codecs.register(_ascii)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    if sys.stdout is sys.__stdout__:
        sys.stdout = _wrapped(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _wrapped(sys.stderr, 2)


def finish_streams() -> None:
    """Write what is left in the buffers. Raises OutputError."""
    sys.stdout.flush()
    sys.stderr.flush()


def drop_output() -> None:
    """Discard what is left in the buffers, which would raise again when the program ends."""
    for stream in (sys.stdout, sys.stderr):
        raw = getattr(stream.buffer, "raw", None)
        if isinstance(raw, _Stream):
            raw._optional = True
        with contextlib.suppress(OSError):
            stream.flush()


def _wrapped(stream: Any, number: int) -> io.TextIOWrapper:
    encoding = "utf-8" if stream is None else stream.encoding
    if codecs.lookup(encoding).name == "ascii":
        encoding = ASCII
    optional = number == 2 or os.isatty(number)
    return io.TextIOWrapper(
        io.BufferedWriter(_Stream(number, optional=optional)),
        encoding=encoding,
        errors=HANDLER,
        line_buffering=stream is None or stream.line_buffering or stream.write_through,
    )


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    """An error handler of :mod:`codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that could not be decoded (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()


def _ascii(name: str) -> codecs.CodecInfo | None:
    """A search function of :mod:`codecs`."""
    if name != ASCII:
        return None
    found = codecs.lookup("ascii")
    return codecs.CodecInfo(
        found.encode,
        found.decode,
        incrementalencoder=found.incrementalencoder,
        incrementaldecoder=found.incrementaldecoder,
        name=ASCII,
    )
