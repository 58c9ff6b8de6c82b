"""The contents of the cache: what it holds, what uses it, deleting it. Imports no torch."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from seqbench.errors import DataError
from seqbench.store.files import PARTIAL
from seqbench.training.data import DATASET_KEY, DOWNLOADS, PREPARED, UNREADABLE, read_metadata

SUFFIX, DAMAGED = ".safetensors", ".corrupt"

#: The names of files that are being written, or that a killed process has left; safetensors uses
#: its own temporary files, ``.tmp…``.
UNFINISHED = (f".*{PARTIAL}", ".tmp*")

#: A file that is being written counts as in use for this many seconds after the last write.
WRITING_SECONDS = 3600.0

#: Maximum number of files that a run marks as in use: each needs an open file.
MOST_MARKED = 100


@dataclass(frozen=True)
class Entry:
    """One thing in the cache: a prepared dataset or a download.

    Args:
        name: by which it is deleted: ``adding-53714e0f92``, ``downloads/mnist``.
        dataset: the dataset's name; "" for a download.
        params: the dataset's parameters.
        remark: what is shown in their place.
        size: bytes. used: time of the last use as a POSIX timestamp; of a download, of the last
            change.
    """

    path: Path
    name: str
    size: int
    used: float
    dataset: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""


def entries_of(cache: Path) -> list[Entry]:
    """The contents of a cache, ordered by name. Other files in its folder are not part of it."""
    found = [_prepared(path) for path in _inside(cache / PREPARED)]
    found += [_download(path) for path in _inside(cache / DOWNLOADS)]
    return sorted((one for one in found if one is not None), key=lambda entry: entry.name)


def matching(entries: Iterable[Entry], name: str) -> list[Entry]:
    """The entries that a user means: one, or all with this dataset, or all downloads."""
    wanted = name.rstrip("/")
    if not wanted:
        return []
    return [
        one for one in entries
        if wanted in (one.name, one.dataset) or one.name.startswith(f"{wanted}/")
    ]  # fmt: skip


def in_use(entry: Entry) -> bool:
    """Whether a running run uses an entry, as far as that can be known: not for downloads, nor on
    file systems without locks, nor beyond the first hundred datasets of a run.
    """
    if _is_unfinished(entry.path):
        return time.time() - entry.used < WRITING_SECONDS
    if not entry.dataset:
        return False
    try:
        with entry.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def delete_entry(entry: Entry) -> None:
    """Delete an entry. Raises DataError if it cannot be deleted."""
    try:
        if entry.path.is_dir() and not entry.path.is_symlink():
            shutil.rmtree(entry.path)
        else:
            entry.path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot delete {entry.path}: {error.strerror}") from error


@contextlib.contextmanager
def used(files: Iterable[str], cache: Path) -> Iterator[None]:
    """Mark prepared files as used now, and as in use for the block. Missing ones are ignored.

    Args:
        files: relative to the cache.
    """
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(files):
            with contextlib.suppress(OSError):  # missing, or of another user
                os.utime(cache / name)
            if number < MOST_MARKED:
                with contextlib.suppress(OSError):  # missing, or a file system without locks
                    file = stack.enter_context((cache / name).open("rb"))
                    fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _inside(folder: Path) -> list[Path]:
    """What a folder of the cache holds; nothing if it is missing, or a link."""
    try:
        return [] if folder.is_symlink() else sorted(folder.iterdir())
    except OSError:
        return []


def _prepared(path: Path) -> Entry | None:
    """A file of the cache; None for one that seqbench has not written."""
    unfinished = _is_unfinished(path)
    if not (unfinished or path.suffix in (SUFFIX, DAMAGED)):
        return None
    try:
        status = path.lstat()
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block whoever opens it
            return None
    except OSError:  # deleted meanwhile, or a link to nothing
        return None
    about: dict[str, Any] = {"path": path, "size": status.st_size, "used": status.st_mtime}
    if path.suffix != SUFFIX or unfinished:
        remark = "being written, or left over" if unfinished else "damaged"
        return Entry(**about, name=path.name, remark=remark)
    dataset = path.stem.rpartition("-")[0]
    try:
        stored = json.loads(read_metadata(path).get(DATASET_KEY, "{}"))
        params = dict(stored["params"]) if stored else None
    except UNREADABLE:
        return Entry(**about, name=path.stem, dataset=dataset, remark="damaged")
    if params is None:
        remark = "n/a: prepared by an earlier version"
        return Entry(**about, name=path.stem, dataset=dataset, remark=remark)
    return Entry(**about, name=path.stem, dataset=str(stored.get("name", dataset)), params=params)


def _is_unfinished(path: Path) -> bool:
    return any(fnmatchcase(path.name, pattern) for pattern in UNFINISHED)


def _download(path: Path) -> Entry | None:
    from seqbench.store.deletion import size_of

    try:
        size, changed = size_of(path), path.lstat().st_mtime
    except OSError:
        return None
    return Entry(path, f"{DOWNLOADS}/{path.name}", size, changed, remark="download")
