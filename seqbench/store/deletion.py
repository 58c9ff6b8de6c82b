"""Deletes runs, or only their weights, samples or answers."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from seqbench.errors import StoreError
from seqbench.store.lock import RunLock
from seqbench.store.run_folder import DELETED, UNFINISHED, RunFolder, is_run

#: The parts of a run that can be deleted by themselves: its folders.
PARTS = ("weights", "samples", "answers")

#: The name of a run that is being deleted.
BEING_DELETED = re.compile(rf"\..+\.[0-9a-f]{{8}}{re.escape(DELETED)}")


def size_of(path: Path) -> int:
    """The size in bytes of a file, or of all files in a folder. Links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    found = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                found += Path(folder, name).lstat().st_size
            except FileNotFoundError:  # deleted meanwhile
                continue
    return found


def files_of(folder: RunFolder, parts: Iterable[str]) -> list[str]:
    """The files of some parts of a run, by their names in its folder. Samples of contests that are
    not finished are left out: a resume needs them.
    """
    return [
        f"{part}/{path.name}"
        for part in parts
        for path in sorted((folder.path / part).glob("*"))
        if path.name[0] != "." and not path.name.endswith(UNFINISHED)
        if path.is_symlink() or not path.is_dir()
    ]


def why_not_deletable(path: Path) -> str:
    """Why a run cannot be deleted, nor a part of it; ``""`` if it can."""
    if path.is_symlink():
        return f"{path} is a symbolic link; refusing to delete through it"
    if not is_run(path):
        return f"{path} is not a run folder"
    try:
        RunLock(path).require_free()
    except StoreError as error:
        return str(error)
    return ""


def delete_run(path: Path) -> int:
    """Delete a run, and return its size in bytes.

    It is renamed first, so that one that is deleted only in part does not look like a run.

    Raises:
        StoreError: it is in use, is not a run, or cannot be deleted.
    """
    problem = why_not_deletable(path)
    if problem:
        raise StoreError(problem)
    path = path.resolve()
    with RunLock(path).hold():
        size = size_of(path)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{DELETED}")
        try:
            path.rename(aside)
        except OSError as error:
            raise StoreError(f"cannot delete {path}: {error.strerror}") from error
        try:
            shutil.rmtree(aside)
        except FileNotFoundError:  # another process finishes this deletion
            pass
        except OSError as error:
            raise StoreError(
                f"cannot delete all of {path}: {error.strerror}; the rest is in {aside}"
            ) from error
    return size


def delete_parts(path: Path, parts: Iterable[str]) -> int:
    """Delete the weights, samples or answers of a run, and return their size in bytes. The run
    records that they were deleted on purpose.

    Raises:
        StoreError: it is in use, is not a run, or cannot be written.
    """
    problem = why_not_deletable(path)
    if problem:
        raise StoreError(problem)
    folder = RunFolder.open(path)
    with folder.locked():
        return folder.removed.remove(files_of(folder, parts))


def finish_deletions(results: Path) -> None:
    """Delete what is left of runs whose deletion was interrupted."""
    for path in results.glob(f"*/.*{DELETED}"):
        if BEING_DELETED.fullmatch(path.name) and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
