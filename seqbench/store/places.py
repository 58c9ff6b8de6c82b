"""Folders that the user names in options and environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from seqbench.errors import UsageError


def expanded(given: str | Path, named: str) -> Path:
    """A path with ``~`` and ``~user`` expanded, as a shell does not do in ``--out=~/results``.

    Args:
        named: the option or environment variable that contains it, for the message.

    Raises:
        UsageError: there is no such home folder.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError:
        user = Path(given).parts[0][1:]
        why = f"unknown user {user!r}" if user else "HOME is not set, and this user has no home"
        raise UsageError(f"{named}: cannot expand {str(given)!r}: {why}") from None


def require_usable(out: Path, cache: Path) -> None:
    """Check the folders of runs and of the cache before anything is created. Raises UsageError."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError("the working folder no longer exists; change to another one") from None
    _require_text(out, "--out")
    _require_text(cache, "SEQBENCH_CACHE")


def _require_text(path: Path, named: str) -> None:
    """Raise UsageError if a path is not UTF-8 text: safetensors cannot open files there."""
    try:
        os.fsencode(path.absolute()).decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(
            f"{path.absolute()} is not UTF-8 text, so files there cannot be opened: choose "
            f"another folder with {named}"
        ) from None
