"""Means over resamples of a dataset, and paired t tests of two models over them.

The independent figure of a resample is the mean over its training seeds. The spread of these means
holds both sources of chance, the resample and the seeds, each in the proportion in which it counts.
Two models are compared on the same resamples, which are harder or easier for both of them, so their
differences are tested (``benchmarks/resample_tests.py`` has measured how often that goes wrong).

Resamples that split the same sequences overlap, so their figures vary less from one to the next
than between datasets. Their variance is corrected after Nadeau and Bengio 2003:
(1 / n + test sequences / other sequences) · s² instead of s² / n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from seqbench.stats.distributions import t_quantile
from seqbench.stats.intervals import quantile, stdev
from seqbench.stats.welch import FLOOR, Difference

#: With fewer resamples there is no test: as with fewer seeds, false alarms would exceed 5 %.
LEAST_RESAMPLES = 3


def resampled_interval(means: Sequence[float], overlap: float | None) -> dict[str, Any]:
    """Mean and 95 % interval of figures over resamples.

    Student's interval: mean ± t(0.975, n - 1) · s · √(1 / n + overlap).

    Args:
        means: of each resample the mean over its seeds.
        overlap: see :func:`paired_differences`; None if it is unknown, and then so is the interval.

    Returns:
        ``mean``, ``low``, ``high`` (None for n = 1) and ``n``.
    """
    n, mean = len(means), fmean(means)
    if n < 2 or overlap is None:
        return {"mean": mean, "low": None, "high": None, "n": n}
    half = t_quantile(n - 1, 0.975) * stdev(means) * math.sqrt(1 / n + overlap)
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": n}


def paired_differences(pairs: Sequence[Sequence[float]], overlap: float) -> list[Difference]:
    """The mean difference of each pair of models, for a paired t test.

    As for seeds (:func:`seqbench.stats.welch.samples_of`), a variance of differences smaller than
    the ``FLOOR`` quantile of those of all pairs counts as that: three differences that happen to
    agree say little about how much they vary.

    Args:
        pairs: of each pair its differences, one for each resample, at least two.
        overlap: number of test sequences ÷ number of other sequences if resamples split the same
            sequences; 0 if they are independent.
    """
    variances = [stdev(each) ** 2 for each in pairs]
    least = quantile(sorted(variances), FLOOR) if variances else 0.0
    return [
        paired_difference(
            # The mean of equal numbers may differ from them by rounding.
            fmean(each) if variance else each[0],
            max(variance, least),
            len(each),
            overlap,
        )
        for each, variance in zip(pairs, variances, strict=True)
    ]


def paired_difference(mean: float, variance: float, n: int, overlap: float) -> Difference:
    """A mean difference of ``n`` resamples with a given variance of single differences."""
    error = math.sqrt(variance * (1 / n + overlap))
    return Difference(mean, error, n - 1, math.sqrt(variance))
