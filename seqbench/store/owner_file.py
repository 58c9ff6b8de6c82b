"""A lock for file systems without locks: a file that names the process that holds it."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

#: Seconds after which a file without content was left by a process that ended while creating it.
EMPTY_SECONDS = 10.0


class OwnerFile:
    """The file exists while the lock is held. That of a killed process of this host is replaced;
    a process of another host counts as alive, since nothing is known about it.
    """

    def __init__(self, path: Path):
        self._path = path

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock for the block.

        Raises:
            BlockingIOError: another process holds it.
            OSError: the file cannot be created.
        """
        own = f"{socket.gethostname()} {os.getpid()} {_started(os.getpid())}"
        self._remove_stale()
        try:
            number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError as error:
            raise BlockingIOError(str(error)) from None
        try:
            os.write(number, own.encode())
        finally:
            os.close(number)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if self._read() == own:
                    self._path.unlink()

    def alive(self) -> bool:
        """Whether a process holds the lock."""
        try:
            return self._is_alive(self._read())
        except OSError:
            return False

    def hint(self) -> str:
        """Which process holds the lock, if this file tells, and what to do if that is gone."""
        try:
            host, number, _ = self._read().split(" ")
        except (OSError, ValueError):
            return ""
        return f" (process {number} on {host}; if it has ended, delete {self._path})"

    def _read(self) -> str:
        return self._path.read_text(encoding="utf-8", errors="replace")

    def _is_alive(self, owner: str) -> bool:
        try:
            host, number, started = owner.split(" ")
            if host != socket.gethostname():
                return True
            os.kill(int(number), 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # of another user
            return True
        except (ValueError, OverflowError):
            return time.time() - self._path.stat().st_mtime < EMPTY_SECONDS
        return started == _started(int(number))

    def _remove_stale(self) -> None:
        """Remove the file of a process that has ended. Raises BlockingIOError if it has not."""
        try:
            owner = self._read()
            if self._is_alive(owner):
                raise BlockingIOError("the owner is alive")
            aside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}.partial")
            self._path.rename(aside)  # only one of several processes that try at once succeeds
        except FileNotFoundError:
            return
        if aside.read_text(encoding="utf-8", errors="replace") != owner:
            aside.rename(self._path)  # another process was faster and has the lock
            raise BlockingIOError("the owner is alive")
        aside.unlink()


def _started(number: int) -> str:
    """When a process was started, which tells it from a later one of the same number; Linux."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(errors="replace")
        return text.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "?"
