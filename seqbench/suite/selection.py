"""The changes that the command line makes to a suite."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Selection:
    """The changes that the command line makes to a suite.

    Args:
        overrides: settings to change, such as ``"train.epochs=2"``.
        models, datasets: run only these (names; for models also labels).
        devices, seeds: replace the suite's.
        allow_many: allow more than 1,000 trials.
    """

    overrides: Sequence[str] = ()
    models: Sequence[str] = ()
    datasets: Sequence[str] = ()
    devices: Sequence[str] = ()
    seeds: int | None = None
    allow_many: bool = False

    @classmethod
    def of(cls, stored: Any) -> Selection:
        """From ``run.json``; invalid values, which seqbench never writes, are ignored."""
        stored = stored if isinstance(stored, dict) else {}
        lists = {name: stored[name] for name in LISTS if isinstance(stored.get(name), list)}
        seeds = stored["seeds"] if type(stored.get("seeds")) is int else None
        texts = {name: tuple(map(str, values)) for name, values in lists.items()}
        return cls(**texts, seeds=seeds, allow_many=stored.get("allow_many") is True)

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return self.seeds is not None or any(getattr(self, name) for name in LISTS)

    def __str__(self) -> str:
        """As options of the command line."""
        words = [
            word for name, option in LISTS.items() for value in getattr(self, name)
            for word in (option, value)
        ]  # fmt: skip
        return shlex.join(words + (["--seeds", str(self.seeds)] if self.seeds is not None else []))


#: The fields of a selection that are lists, each with its option.
LISTS = {
    "overrides": "--set", "models": "--model", "datasets": "--dataset", "devices": "--device",
}  # fmt: skip


def override_key(override: str) -> str:
    """The key of an override: ``train.epochs`` for ``"train.epochs=2"``."""
    return override.partition("=")[0].strip()
