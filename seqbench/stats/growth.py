"""Growth of a figure with the length of the sequences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from seqbench.stats.intervals import mean_interval


def growth_exponent(lengths: Sequence[float], figures: Sequence[float]) -> float | None:
    """Exponent of the growth of a figure with the length: 1 is linear, 2 quadratic.

    The least-squares slope of log(figure) against log(length): Σ(x - x̄)(y - ȳ) ÷ Σ(x - x̄)².
    None with fewer than two different lengths, or if a figure is not positive.
    """
    if len(set(lengths)) < 2 or min(figures) <= 0:
        return None
    x, y = ([math.log(value) for value in values] for values in (lengths, figures))
    center = fmean(x)
    offsets = [value - center for value in x]
    products = [offset * value for offset, value in zip(offsets, y, strict=True)]
    return math.fsum(products) / math.fsum(offset**2 for offset in offsets)


def growth_interval(
    lengths: Sequence[float], processes: Sequence[Sequence[float]]
) -> dict[str, Any] | None:
    """:func:`growth_exponent` of each process, with an interval over the processes.

    Args:
        lengths: the lengths.
        processes: for each process its figure at each length.

    Returns:
        ``exponent``: the mean over processes; ``low``, ``high``, ``n`` as in
        :func:`.mean_interval`. None if no process has an exponent.
    """
    slopes = [growth_exponent(lengths, figures) for figures in processes]
    known = [slope for slope in slopes if slope is not None]
    if not known:
        return None
    found = mean_interval(known)
    return {"exponent": found.pop("mean"), **found}
