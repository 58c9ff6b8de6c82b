"""The JSON files of a run: written whole, read and reported if damaged."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqbench.errors import StoreError
from seqbench.store.files import replace_file


class DamagedRecord(UserWarning):
    """A record, or the weights of a trial, cannot be used: what it stands for runs again."""


class Damaged(StoreError):
    """A file of a run can be read, but holds what no seqbench wrote."""


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all. Raises StoreError."""
    try:
        with replace_file(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes plain data. Raises StoreError: not possible, or a number is NaN or infinite."""
    try:
        text = json.dumps(value, indent=1, allow_nan=False)
    except ValueError as error:
        raise StoreError(f"cannot write {path}: {error}") from error
    write_text(path, text + "\n")


def read_bytes(path: Path) -> bytes:
    """What a file holds. Raises Damaged: it is gone; StoreError: it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"{path} is gone") from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises Damaged: the file is gone, or holds none; StoreError: unreadable."""
    try:
        value = json.loads(read_bytes(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise Damaged(f"{path} does not hold a JSON object")
    return value


def read_json_or(path: Path, otherwise: dict[str, Any]) -> dict[str, Any]:
    """A JSON object; ``otherwise`` where it is damaged, with a warning."""
    try:
        return read_json(path)
    except Damaged as error:
        warnings.warn(str(error), DamagedRecord, stacklevel=2)
        return otherwise
