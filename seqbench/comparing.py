"""Which of several cases can be told apart: pure functions of numbers."""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from statistics import mean, stdev
from string import ascii_letters

from seqbench import stats
from seqbench.records import Comparison, Verdict

#: How often, at most, a difference may be found in a whole family of comparisons that has none.
ALPHA = 0.05
#: How likely a difference should be found where there is one, for :func:`seeds_needed`.
POWER = 0.8
MOST_SEEDS = 1_000
#: Up to so many differences every flip is tried; beyond, so many are drawn.
EXACT, DRAWS = 16, 99_999
#: Sums closer than this share of the largest possible one are ties: they differ by rounding.
TIE = 1e-9
#: How many sets :func:`letters` holds at a time before it gives up.
MOST_SETS = 2 * len(ascii_letters)


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

    The first sign stays: flipping all of them gives the same size.
    """
    import numpy as np

    sums = np.array(differences[:1], dtype=float)
    for difference in differences[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    return float(np.mean(np.abs(sums) >= least))


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


def letters(n: int, different: Collection[tuple[int, int]], order: Sequence[int]) -> list[str]:
    """Compact letter display: items share a letter exactly if they are not told apart.

    Insert and absorb, after Piepho 2004: all items begin in one set; each pair that differs
    splits every set that holds both in two, and sets within another are dropped. Each set that
    remains is a letter.

    Args:
        n: number of items.
        different: the pairs that are told apart, in any order.
        order: all items, the best first: it gets ``a``.

    Returns:
        For each item its letters; empty texts if there are more groups than letters.
    """
    place = {item: number for number, item in enumerate(order)}
    # The best against all others first, then the next: so there are never many sets.
    sets = [frozenset(range(n))] if n else []
    for one, other in sorted(different, key=lambda pair: sorted(place[item] for item in pair)):
        split = {
            part
            for held in sets
            for part in ((held - {one}, held - {other}) if {one, other} <= held else (held,))
        }
        sets = [held for held in split if not any(held < larger for larger in split)]
        if len(sets) > MOST_SETS:
            return [""] * n
    sets.sort(key=lambda held: sorted(place[item] for item in held))
    if len(sets) > len(ascii_letters):
        return [""] * n
    named = list(zip(ascii_letters, sets, strict=False))
    return ["".join(letter for letter, held in named if item in held) for item in range(n)]


def seeds_needed(differences: Sequence[float], alpha: float = ALPHA) -> int | None:
    """How many paired differences would probably tell, were the next ones like these.

    The smallest n at which the exact sign-flip test can reach ``alpha`` (2 / 2ⁿ) and a
    two-sided paired t test has 80 % power for the mean and standard deviation seen: one minus
    what the noncentral t distribution with n - 1 degrees of freedom and noncentrality
    √n · |mean| / s has between the critical values (Cohen 1988).

    Returns:
        None for fewer than three differences (two say next to nothing of their spread), for a mean
        of zero, and where more than 1,000 would be needed.
    """
    if len(differences) < 3 or mean(differences) == 0:
        return None
    fewest = max(2, math.ceil(1 - math.log2(alpha)))
    spread = stdev(differences)
    if spread == 0:
        return fewest
    effect = abs(mean(differences)) / spread
    sizes = range(fewest, MOST_SEEDS + 1)
    place = bisect.bisect_left(sizes, POWER, key=lambda n: power(effect, n, alpha))
    return sizes[place] if place < len(sizes) else None


def power(effect: float, n: int, alpha: float = ALPHA) -> float:
    """Power of a two-sided paired t test of ``n`` differences whose mean is ``effect`` · s."""
    from scipy.special import stdtrit

    critical, shift = float(stdtrit(n - 1, 1 - alpha / 2)), effect * math.sqrt(n)
    return 1 - _below(n - 1, shift, critical) + _below(n - 1, shift, -critical)


def _below(df: int, shift: float, bound: float) -> float:
    """Distribution function of the noncentral t."""
    from scipy.special import nctdtr

    if shift > bound + 40:
        return 0.0
    share = float(nctdtr(df, shift, bound))
    return 0.0 if math.isnan(share) else share  # what scipy gives for some that are below 1e-8


def paired(
    figures: Mapping[str, Mapping[int, float]], quantity: str, *, higher_is_better: bool
) -> list[Comparison]:
    """All pairs of cases, each on the seeds that both have.

    Args:
        figures: for each case its figure at each seed.
        quantity: what the figures are.

    Returns:
        Differences a - b with Student's 95 % interval of the paired differences; p of
        :func:`sign_flip`, corrected for all these pairs (:func:`holm`). ``too few seeds`` where
        even differences that all point one way could not have been told apart. Pairs without a
        common seed are left out.
    """
    differences = {
        (a, b): [figures[a][seed] - figures[b][seed] for seed in common]
        for a, b in combinations(figures, 2)
        if (common := sorted(figures[a].keys() & figures[b].keys()))
    }
    found = list(differences.values())
    ps = holm([sign_flip(one) for one in found])
    best_case = holm([least_p(len(one)) for one in found])
    return [
        _comparison(quantity, a, b, ours, p, best, higher_is_better, len(found))
        for (a, b), ours, p, best in zip(differences, found, ps, best_case, strict=True)
    ]


def _comparison(
    quantity: str,
    a: str,
    b: str,
    differences: Sequence[float],
    p: float,
    best_case: float,
    higher_is_better: bool,
    pairs: int,
) -> Comparison:
    """``p`` and the smallest that there could have been, ``best_case``, are corrected."""
    interval = stats.mean_interval(differences)
    verdict: Verdict = "no difference"
    needed = None
    if best_case > ALPHA:
        verdict, needed = "too few seeds", seeds_needed(differences, ALPHA / pairs)
    elif p <= ALPHA:
        verdict = "better" if (interval["mean"] > 0) == higher_is_better else "worse"
    return Comparison(
        quantity, a, b, "difference", interval["mean"], interval["low"], interval["high"],
        p, verdict, interval["n"], needed=needed,
    )  # fmt: skip
