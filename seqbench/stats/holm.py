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
    the one before it, or larger than 1. Rejecting those below 5 % has a probability of at most
    5 % for any false rejection, if each p is valid.
    """
    return [corrected for corrected, _ in holm_steps(ps)]


def holm_steps(ps: Sequence[float]) -> list[tuple[float, int]]:
    """Like :func:`holm`, each with the factor by which it was multiplied."""
    found, before = [(0.0, 1)] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        factor = len(ps) - rank
        before = max(before, min(1.0, factor * ps[index]))
        found[index] = before, factor
    return found
