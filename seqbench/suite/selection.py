"""What the command line changes about a suite."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Selection:
    """What the command line changes about a suite.

    Args:
        overrides: ``"train.epochs=2"`` and the like.
        models, datasets: only these (names; for models also labels).
        devices, seeds: instead of the suite's.
        allow_many: plan more than 1,000 trials.
    """

    overrides: Sequence[str] = ()
    models: Sequence[str] = ()
    datasets: Sequence[str] = ()
    devices: Sequence[str] = ()
    seeds: int | None = None
    allow_many: bool = False

    @classmethod
    def of(cls, told: Any) -> Selection:
        """As ``run.json`` has it; what no seqbench has written there is left out."""
        told = told if isinstance(told, dict) else {}
        lists = {name: told[name] for name in LISTS if isinstance(told.get(name), list)}
        seeds = told["seeds"] if type(told.get("seeds")) is int else None
        texts = {name: tuple(map(str, values)) for name, values in lists.items()}
        return cls(**texts, seeds=seeds, allow_many=told.get("allow_many") is True)

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return self.seeds is not None or any(getattr(self, name) for name in LISTS)

    def __str__(self) -> str:
        """As one would write it on the command line."""
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
    """Its key: that of ``"train.epochs=2"`` is ``train.epochs``."""
    return override.partition("=")[0].strip()
