"""Figures with their uncertainty: pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from seqbench.stats.distributions import t_quantile


def mean_interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean and 95 % interval of a handful of independent figures (one per seed).

    The interval is Student's: mean ± t(0.975, n - 1) · s / √n. With one value there is none.

    Returns:
        ``mean``, ``low``, ``high`` (None for n = 1) and ``n``.
    """
    n = len(values)
    middle = fmean(values)
    if n < 2:
        return {"mean": middle, "low": None, "high": None, "n": n}
    half = t_quantile(n - 1, 0.975) * stdev(values) / math.sqrt(n)
    return {"mean": middle, "low": middle - half, "high": middle + half, "n": n}


def stdev(values: Sequence[float]) -> float:
    """Standard deviation of a sample; 0 exactly where all agree.

    That of the standard library reckons in fractions, and takes ten times as long.
    """
    offsets = [value - values[0] for value in values]
    middle = fmean(offsets)
    return math.sqrt(math.fsum((one - middle) ** 2 for one in offsets) / (len(values) - 1))


def ratio_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % interval of the centre of a few positive figures, one per process.

    Student's t on their logarithms, exp(mean ± t(0.975, n - 1) · s / √n), since processes differ
    by a factor; widened where needed to hold the median. Calls and blocks of one process resemble
    each other, so only processes count as independent, and a bootstrap of three processes cannot
    reach beyond the least and the greatest of them: it would hold the truth 75 % of the time at
    best. None where there is a single process.
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
