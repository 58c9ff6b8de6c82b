"""When a training is evaluated and when it ends, in optimizer steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: By default a training of a number of steps is evaluated this many times.
EVALUATIONS = 10


@dataclass(frozen=True)
class Periods:
    """A training as a sequence of periods, each followed by an evaluation.

    Args:
        total: steps of the training.
        every: steps of each period; the last may be shorter.
    """

    total: int
    every: int

    @classmethod
    def of(cls, settings: Mapping[str, Any], per_epoch: int) -> Periods:
        """The periods of a training.

        Args:
            settings: the training settings.
            per_epoch: steps of an epoch.
        """
        steps = settings.get("steps")
        total = steps or settings["epochs"] * per_epoch
        usual = math.ceil(total / EVALUATIONS) if steps else per_epoch
        return cls(total, settings.get("evaluate_every") or usual)

    @staticmethod
    def count(settings: Mapping[str, Any]) -> int:
        """The number of periods, which does not depend on the data."""
        return len(Periods.of(settings, per_epoch=1))

    def __iter__(self) -> Iterator[int]:
        """The number of steps of each period."""
        for start in range(0, self.total, self.every):
            yield min(self.every, self.total - start)

    def __len__(self) -> int:
        return math.ceil(self.total / self.every)
