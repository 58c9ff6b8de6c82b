"""Files that are written whole or not at all, and never through a symbolic link."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import json
import os
import time
import zlib
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from seqbench.errors import StoreError


def append(path: Path) -> FileIO:
    """Opens a file to add to its end. A link is not followed: OSError, as for any other trouble."""
    return FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666), "a")


def write_compressed(path: Path, value: Mapping[str, Any]) -> None:
    """Writes plain data as compressed JSON, whole or not at all. Raises OSError."""
    path.parent.mkdir(exist_ok=True)  # where a whole run has vanished, it stays so
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)  # it may be a link to somewhere else
    with partial.open("wb") as file:
        file.write(gzip.compress(json.dumps(value).encode(), compresslevel=3))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_compressed(path: Path) -> dict[str, Any]:
    """What :func:`write_compressed` wrote. Raises OSError, EOFError or ValueError where that is not
    there, or damaged.
    """
    try:
        value = json.loads(gzip.decompress(path.read_bytes()))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return value


def stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change (ns): the same for a file that nobody has written.

    Raises:
        OSError: there is no such file.
    """
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def make_folder(folder: Path, *, exist_ok: bool = False) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        raise StoreError(
            f"cannot make {folder}: {error.strerror}; name another place with --out"
        ) from error


def lock_file(file: FileIO) -> None:
    """Locks it for this process alone. Whoever only asks whether it is locked holds it for a
    moment; BlockingIOError if it is held for longer.
    """
    for pause in (0.05,) * 9:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(pause)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def flush_folder(path: Path) -> None:
    """Without it a power cut may undo a renaming; not every file system can."""
    with contextlib.suppress(OSError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
