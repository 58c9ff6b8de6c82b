"""The two kinds of seed, and which of them varies: ``seeds: {init: 5, data: [0]}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The kinds of seed that can be varied apart.
SEEDED = ("init", "data")


def varied_kind(seeds: Mapping[str, Any]) -> str:
    """The kind that varies: the one with more seeds. If both have one, that given as a number.

    Args:
        seeds: for each kind a number of seeds or a list of them, as in a suite; may be invalid.
    """
    return max(
        (name for name in SEEDED if name in seeds),
        key=lambda name: (_count(seeds[name]), not isinstance(seeds[name], list)),
        default=SEEDED[0],
    )


def _count(seeds: Any) -> int:
    if isinstance(seeds, list):
        return len(seeds)
    return seeds if isinstance(seeds, int) else 0
