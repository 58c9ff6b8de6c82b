"""Which of several cases can be told apart: pure functions of numbers."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

#: How often, at most, a difference may be found in a whole family of comparisons that has none.
ALPHA = 0.05

#: Up to so many differences every flip is tried; beyond, so many are drawn.
EXACT, DRAWS = 16, 99_999

#: Sums closer than this share of the largest possible one are ties: they differ by rounding.
TIE = 1e-9


def sign_flip(differences: Sequence[float]) -> float:
    """Two-sided p of the hypothesis that differences are as likely as their opposites.

    The sign-flip (paired permutation) test with the mean as statistic, after Fisher 1935: the
    share of all 2ⁿ ways to choose the signs that give a mean at least as far from zero. Up to
    n = 16 all are tried; beyond, 99,999 are drawn, always the same, and p is
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
    """The share of flips whose sum is at least ``least`` in size.

    The first sign stays: flipping all of them gives the same size. For each sum of one half of the
    differences, those of the other half that suit it are found by bisection.
    """
    half = len(differences) // 2
    ones = _sums(differences[0], differences[1 : half + 1])
    others = sorted(_sums(0.0, differences[half + 1 :]))
    found = sum(
        len(others) - bisect.bisect_left(others, least - one)
        + bisect.bisect_right(others, -least - one)
        for one in ones
    )  # fmt: skip
    return min(1.0, found / (len(ones) * len(others)))  # more where the least is 0: all are found


def _sums(first: float, differences: Sequence[float]) -> list[float]:
    """``first`` with each of the differences added or taken away, in every way."""
    sums = [first]
    for difference in differences:
        sums = [total + signed for total in sums for signed in (difference, -difference)]
    return sums


def _drawn_share(differences: Sequence[float], least: float) -> float:
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
    """The smallest p that :func:`sign_flip` can give for ``n`` differences."""
    return min(1.0, 2 / 2**n) if n <= EXACT else 1 / (DRAWS + 1)


def holm(ps: Sequence[float]) -> list[float]:
    """Each p corrected for how many there are, after Holm 1979.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none may be smaller than
    one before it, nor larger than 1. Those up to 5 % are different, with a chance of at
    most 5 % for any false one among them.
    """
    corrected, before = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        before = max(before, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = before
    return corrected
