"""Atomic file writes, for runs and for the cache: a file is written whole or not at all, flushed
to disk, and never through a symbolic link.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import os
import secrets
import stat
import zlib
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from seqbench.errors import StoreError

#: Suffix of a file that is being written. A killed process may leave one behind.
PARTIAL = ".partial"

#: How a file system that lacks an operation fails: flushing, or locking.
UNSUPPORTED = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK}


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a new, empty file for the block to fill, then rename it to ``path``. It is flushed to
    disk first, so that ``path`` is always either the old file or the new one.

    The new file is in the same folder, which is created if its parent exists. It has a random name,
    so that processes can write the same ``path`` at once; the last one wins. If ``path`` is a
    symbolic link, the link is replaced and its target is not touched. If the block raises, the new
    file is removed and ``path`` is unchanged.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(exist_ok=True)  # does not recreate a run that was deleted
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    mode = _create(partial)
    try:
        yield partial
        _flush(partial, os.O_RDWR | os.O_NOFOLLOW, mode)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    with contextlib.suppress(OSError):  # not every file system supports flushing a folder
        _flush(path.parent, os.O_RDONLY)  # otherwise a power failure may undo the renaming


def _create(path: Path) -> int:
    """Create an empty file; returns its mode, as set by the user's umask."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return stat.S_IMODE(os.fstat(number).st_mode)
    finally:
        os.close(number)


def _flush(path: Path, flags: int, mode: int | None = None) -> None:
    number = os.open(path, flags)
    try:
        if mode is not None:  # the file may have been recreated: safetensors does so
            with contextlib.suppress(OSError):  # some file systems have no modes
                os.fchmod(number, mode)
        os.fsync(number)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(number)


def append(path: Path) -> FileIO:
    """Open a file for appending. Raises OSError, also if it is a symbolic link."""
    return FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666), "a")


def write_compressed(path: Path, value: Mapping[str, Any]) -> None:
    """Write plain data as compressed JSON, atomically. Raises OSError."""
    with replace_file(path) as partial:
        partial.write_bytes(gzip.compress(json.dumps(value).encode(), compresslevel=3))


def read_compressed(path: Path) -> dict[str, Any]:
    """Read a file of :func:`write_compressed`. Raises OSError, EOFError or ValueError if it is
    missing or damaged.
    """
    try:
        value = json.loads(gzip.decompress(path.read_bytes()))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not contain a JSON object")
    return value


def stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in ns: equal as long as the file is not written to.

    Raises:
        OSError: the file does not exist.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as hexadecimal digits. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        found = hashlib.sha256()
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def make_folder(folder: Path, *, exist_ok: bool = False) -> None:
    """Create a folder and its parents. Raises StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        raise StoreError(
            f"cannot create {folder}: {error.strerror}; choose another folder with --out"
        ) from error
