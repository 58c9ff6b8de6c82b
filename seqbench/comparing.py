"""Which of several cases can be told apart: pure functions of numbers."""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from statistics import NormalDist, fmean
from string import ascii_letters

from seqbench import stats
from seqbench.records import Comparison, Verdict

#: How often, at most, a difference may be found in a whole family of comparisons that has none.
ALPHA = 0.05
#: How likely a difference should be found where there is one, for :func:`seeds_needed`.
POWER = 0.8
MOST_SEEDS = 1_000
#: Of the integral in :func:`power`, for each standard deviation.
STEPS = 3
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
    if len(differences) < 3 or fmean(differences) == 0:
        return None
    fewest = max(2, math.ceil(1 - math.log2(alpha)))
    spread = stats.stdev(differences)
    if spread == 0:
        return fewest
    effect = abs(fmean(differences)) / spread
    # By normal distributions (Guenther 1981): nearly right, so that few need be tried.
    critical, likely = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(POWER)
    guess = ((critical + likely) / effect) ** 2 + critical**2 / 2
    n = round(min(max(guess, fewest), MOST_SEEDS))
    while n > fewest and power(effect, n - 1, alpha) >= POWER:
        n -= 1
    while n <= MOST_SEEDS and power(effect, n, alpha) < POWER:
        n += 1
    return n if n <= MOST_SEEDS else None


def power(effect: float, n: int, alpha: float = ALPHA) -> float:
    """Power of a two-sided paired t test of ``n`` differences whose mean is ``effect`` · s.

    What it would be were the spread known, averaged over how the spread seen scatters about it:
    its logarithm u has the density of √(χ² / df), integrated with equal steps.
    """
    df, shift = n - 1, effect * math.sqrt(n)
    critical = stats.t_quantile(df, 1 - alpha / 2)
    scatter = 1 / math.sqrt(2 * df)
    log_peak = math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)
    first, last = -7 * scatter - 28 / df, 7 * scatter  # beyond, nothing of 1e-11
    step = scatter / STEPS
    total, root = 0.0, math.sqrt(2)
    for number in range(math.ceil((last - first) / step)):
        u = first + number * step
        spread = math.exp(u)
        density = math.exp(log_peak + df * (u - spread * spread / 2))
        above = math.erfc((critical * spread - shift) / root)
        below = math.erfc((critical * spread + shift) / root)
        total += density * (above + below) / 2
    return min(1.0, total * step)


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
