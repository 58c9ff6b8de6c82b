"""Paired tests: sign-flip test and Holm's correction."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

#: Family-wise error: the highest probability of any false difference in a family of comparisons.
ALPHA = 0.05

#: Up to this many differences all sign flips are tried; with more, this many are sampled.
EXACT, DRAWS = 16, 99_999

#: Sums closer than this fraction of the largest possible sum are ties: they differ by rounding.
TIE = 1e-9


def sign_flip(differences: Sequence[float]) -> float:
    """Two-sided p of the null hypothesis that each difference could as well have the other sign.

    The sign-flip (paired permutation) test with the mean as statistic, after Fisher 1935: p is
    the fraction of all 2ⁿ sign assignments whose mean is at least as far from zero. Up to n = 16
    all are tried; with more, 99,999 are sampled, always the same ones, and p is
    (k + 1) / (draws + 1), after Phipson and Smyth 2010.
    """
    if not differences:
        return 1.0
    margin = TIE * sum(map(abs, differences))
    least = abs(math.fsum(differences)) - margin
    if len(differences) <= EXACT:
        return _exact_share(differences, least)
    return _drawn_share(differences, least)


def _exact_share(differences: Sequence[float], least: float) -> float:
    """Fraction of all sign flips whose sum is at least ``least`` in absolute value.

    The first sign is fixed, since flipping all signs does not change the absolute value. For each
    sum of one half of the differences, matching sums of the other half are found by bisection.
    """
    half = len(differences) // 2
    ones = _sums(differences[0], differences[1 : half + 1])
    others = sorted(_sums(0.0, differences[half + 1 :]))
    found = sum(
        len(others) - bisect.bisect_left(others, least - one)
        + bisect.bisect_right(others, -least - one)
        for one in ones
    )  # fmt: skip
    return min(
        1.0, found / (len(ones) * len(others))
    )  # above 1 if least is 0: all are counted twice


def _sums(first: float, differences: Sequence[float]) -> list[float]:
    """All sums of ``first`` and the differences with every combination of signs."""
    sums = [first]
    for difference in differences:
        sums = [total + signed for total in sums for signed in (difference, -difference)]
    return sums


def _drawn_share(differences: Sequence[float], least: float) -> float:
    """Fraction of sampled sign flips whose sum is at least ``least`` in absolute value."""
    import numpy as np

    random, values = np.random.default_rng(0), np.array(differences, dtype=float)
    at_once = max(1, 10**6 // len(values))
    found = 0
    for first in range(0, DRAWS, at_once):
        draws = min(at_once, DRAWS - first)
        signs = 2.0 * random.integers(0, 2, size=(draws, len(values))) - 1
        found += int(np.sum(np.abs(signs @ values) >= least))
    return (found + 1) / (DRAWS + 1)


def least_p(n: int) -> float:
    """The smallest p that :func:`sign_flip` can return for ``n`` differences."""
    return min(1.0, 2 / 2**n) if n <= EXACT else 1 / (DRAWS + 1)


def holm(ps: Sequence[float]) -> list[float]:
    """Correct p values for the number of tests, after Holm 1979.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none may be smaller than
    the one before it, or larger than 1. Rejecting those up to 5 % has a probability of at most
    5 % for any false rejection.
    """
    corrected, before = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        before = max(before, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = before
    return corrected
