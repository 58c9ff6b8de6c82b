"""Holm's correction for several comparisons."""

from __future__ import annotations

from collections.abc import Sequence

#: Family-wise error: the highest probability of any false difference in a family of comparisons.
ALPHA = 0.05

#: With more cases of one dataset and device, none are compared: the number of pairs grows
#: quadratically, and after the correction for it no difference would be found.
MOST_CASES = 60


def holm(ps: Sequence[float]) -> list[float]:
    """Correct p values for the number of tests, after Holm 1979.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none may be smaller than
    the one before it, or larger than 1. Rejecting those up to 5 % has a probability of at most
    5 % for any false rejection.
    """
    corrected, before = [0.0] * len(ps), 0.0
    for index, factor in zip(_ascending(ps), range(len(ps), 0, -1), strict=True):
        before = max(before, min(1.0, factor * ps[index]))
        corrected[index] = before
    return corrected


def holm_factors(ps: Sequence[float]) -> list[int]:
    """By what :func:`holm` multiplies each p value: the number of tests for the smallest."""
    factors = [0] * len(ps)
    for index, factor in zip(_ascending(ps), range(len(ps), 0, -1), strict=True):
        factors[index] = factor
    return factors


def _ascending(ps: Sequence[float]) -> list[int]:
    """Positions of the values, that of the smallest first."""
    return sorted(range(len(ps)), key=lambda index: ps[index])
