"""Metadata of installed distributions that may be broken, whether or not they are plugins."""

from __future__ import annotations

import importlib.metadata
from typing import Any

#: The property of Python, which raises for an ``entry_points.txt`` that it cannot parse.
_READ: Any = importlib.metadata.Distribution.entry_points


def entry_points_of(
    distribution: importlib.metadata.Distribution,
) -> importlib.metadata.EntryPoints:
    """The entry points of a distribution. Raises any error if its metadata is broken."""
    found: importlib.metadata.EntryPoints = _READ.fget(distribution)
    return found


def tolerate_broken_metadata() -> None:
    """Make distributions with broken metadata have no entry points in this process.

    pydantic, torch and triton search all distributions for plugins of their own, and cannot be
    imported otherwise.
    """
    importlib.metadata.Distribution.entry_points = property(_entry_points_or_none)  # type: ignore[method-assign, assignment]


def _entry_points_or_none(
    distribution: importlib.metadata.Distribution,
) -> importlib.metadata.EntryPoints:
    try:
        return entry_points_of(distribution)
    except Exception:
        return importlib.metadata.EntryPoints(())
