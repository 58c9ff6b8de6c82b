"""How a figure grows with the length of the sequences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from seqbench.stats.intervals import mean_interval


def growth_exponent(lengths: Sequence[float], figures: Sequence[float]) -> float | None:
    """How fast a figure grows with the length: 1 for proportional, 2 for quadratic.

    The least-squares slope of the figure's logarithm on the length's: Σ(x - x̄)(y - ȳ) ÷ Σ(x - x̄)².
    None with fewer than two different lengths, or where a figure is not positive.
    """
    if len(set(lengths)) < 2 or min(figures) <= 0:
        return None
    x, y = ([math.log(value) for value in values] for values in (lengths, figures))
    middle = fmean(x)
    offsets = [value - middle for value in x]
    products = [offset * value for offset, value in zip(offsets, y, strict=True)]
    return math.fsum(products) / math.fsum(offset**2 for offset in offsets)


def growth_interval(
    lengths: Sequence[float], processes: Sequence[Sequence[float]]
) -> dict[str, Any] | None:
    """:func:`exponent` of figures that several processes each have for every length.

    Returns:
        ``exponent``: the mean over processes; ``low``, ``high``, ``n`` as :func:`mean_interval`.
        None where there is no exponent.
    """
    slopes = [growth_exponent(lengths, figures) for figures in processes]
    known = [slope for slope in slopes if slope is not None]
    if not known:
        return None
    found = mean_interval(known)
    return {"exponent": found.pop("mean"), **found}
