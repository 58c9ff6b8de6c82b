"""Confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from seqbench.stats.distributions import t_quantile


def mean_interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean and 95 % interval of a few independent figures, one per seed.

    Student's interval: mean ± t(0.975, n - 1) · s / √n. A single value has no interval.

    Returns:
        ``mean``, ``low``, ``high`` (None for n = 1) and ``n``.
    """
    n = len(values)
    mean = fmean(values)
    if n < 2:
        return {"mean": mean, "low": None, "high": None, "n": n}
    half = t_quantile(n - 1, 0.975) * stdev(values) / math.sqrt(n)
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": n}


def stdev(values: Sequence[float]) -> float:
    """Sample standard deviation; exactly 0 if all values are equal.

    ``statistics.stdev`` computes with fractions and takes ten times as long.
    """
    offsets = [value - values[0] for value in values]
    mean = fmean(offsets)
    return math.hypot(*(one - mean for one in offsets)) / math.sqrt(len(values) - 1)


def ratio_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % interval of the center of a few positive figures, one per process.

    Student's t on their logarithms, exp(mean ± t(0.975, n - 1) · s / √n), since processes differ
    by a factor; widened if necessary to contain the median. Calls and blocks of one process are
    correlated, so only processes count as independent. A bootstrap of three processes cannot
    extend beyond their minimum and maximum: it would contain the true value at most 75 % of the
    time. ``(None, None)`` for a single process.
    """
    found = mean_interval([math.log(value) for value in values])
    if found["low"] is None:
        return None, None
    middle = median(values)
    return min(math.exp(found["low"]), middle), max(math.exp(found["high"]), middle)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The ``share`` quantile of sorted numbers, by linear interpolation (Hyndman-Fan type 7)."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
