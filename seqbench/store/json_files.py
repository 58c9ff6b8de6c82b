"""The JSON files of a run: written atomically, reported if damaged."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqbench.errors import StoreError
from seqbench.store.files import replace_file


class DamagedRecord(UserWarning):
    """A record, or the weights of a trial, cannot be used; that trial or measurement runs again."""


class Damaged(StoreError):
    """A file of a run is missing, or its content is not valid."""


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically. Raises StoreError."""
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically. Raises StoreError."""
    try:
        with replace_file(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write plain data. Raises StoreError, also if a number is NaN or infinite."""
    try:
        text = json.dumps(value, indent=1, allow_nan=False)
    except ValueError as error:
        raise StoreError(f"cannot write {path}: {error}") from error
    write_text(path, text + "\n")


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises Damaged if it is missing, StoreError if it is unreadable."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing") from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises Damaged if the file is missing or invalid, StoreError if it is
    unreadable.
    """
    try:
        value = json.loads(read_bytes(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise Damaged(f"{path} does not contain a JSON object")
    return value


def read_json_or(path: Path, otherwise: dict[str, Any]) -> dict[str, Any]:
    """Read a JSON object; if it is damaged, warn and return ``otherwise``."""
    try:
        return read_json(path)
    except Damaged as error:
        warnings.warn(str(error), DamagedRecord, stacklevel=2)
        return otherwise
