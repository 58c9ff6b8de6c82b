"""The only place that writes the files of a run and of the cache: whole or not at all, flushed to
the disk, and never through a symbolic link.
"""

from __future__ import annotations

import contextlib
import gzip
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

#: What a file is called while it is written ends so: a killed process may leave one.
PARTIAL = ".partial"


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A new, empty file for the block to fill. When the block ends, it takes the place of ``path``:
    flushed to the disk first, so that ``path`` is at every moment the old file or the new one.

    The new file lies in the same folder, which is made if its parent exists. Its name is different
    each time: processes that write the same ``path`` at once all succeed, and the last one stays.
    A link in the place of ``path`` is replaced, and what it points to stays as it is. If the block
    raises, the new file is removed and ``path`` is not touched.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(exist_ok=True)  # where a whole run has vanished, it stays so
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
    with contextlib.suppress(OSError):  # not every file system can flush a folder
        _flush(path.parent, os.O_RDONLY)  # without it a power cut may undo the renaming


def _create(path: Path) -> int:
    """Makes an empty file. Returns its mode: what the user's umask leaves."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return stat.S_IMODE(os.fstat(number).st_mode)
    finally:
        os.close(number)


def _flush(path: Path, flags: int, mode: int | None = None) -> None:
    number = os.open(path, flags)
    try:
        if mode is not None:  # whoever filled it may have made it anew, as safetensors does
            os.fchmod(number, mode)
        os.fsync(number)
    finally:
        os.close(number)


def append(path: Path) -> FileIO:
    """Opens a file to add to its end. A link is not followed: OSError, as for any other trouble."""
    return FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666), "a")


def write_compressed(path: Path, value: Mapping[str, Any]) -> None:
    """Writes plain data as compressed JSON, whole or not at all. Raises OSError."""
    with replace_file(path) as partial:
        partial.write_bytes(gzip.compress(json.dumps(value).encode(), compresslevel=3))


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
