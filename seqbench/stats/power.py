"""Power: how many seeds or resamples would be enough to distinguish two cases.

In plain Python, like :mod:`.distributions`, because it is needed whenever a run is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from statistics import NormalDist

from seqbench.stats.distributions import t_quantile
from seqbench.stats.holm import ALPHA
from seqbench.stats.resamples import LEAST_RESAMPLES, paired_difference
from seqbench.stats.welch import LEAST_SEEDS, Difference, Sample, difference_at

#: Probability with which :func:`seeds_needed` requires an existing difference to be found.
POWER = 0.8

MOST_SEEDS = 1_000

#: Integration steps per standard deviation in :func:`t_test_power`.
STEPS = 3


def seeds_needed(a: Sample, b: Sample, alpha: float = ALPHA) -> int | None:
    """Estimate how many seeds would be enough, if further figures are like these.

    The smallest n at which Welch's test at ``alpha`` has 80 % power for the observed means and
    variances (see :func:`t_test_power`).

    Returns:
        None for equal means, for fewer than three figures (two say almost nothing about their
        spread), and if more than 1,000 would be needed.
    """
    if min(a.n, b.n) < LEAST_SEEDS or a.mean == b.mean:
        return None
    if a.variance + b.variance == 0:
        return LEAST_SEEDS
    effect = abs(a.mean - b.mean) / math.sqrt(a.variance + b.variance)
    return _least(partial(difference_at, a, b), effect, alpha)


def resamples_needed(found: Difference, n: int, overlap: float, alpha: float = ALPHA) -> int | None:
    """Estimate how many resamples would be enough, if further differences are like these.

    Like :func:`seeds_needed`, for the paired t test of :mod:`.resamples`. If resamples overlap,
    there may be no such number: more of them say less and less about other data.

    Args:
        found: the difference over ``n`` resamples, with that ``overlap``.
    """
    if n < LEAST_RESAMPLES or found.effect == 0:
        return None
    if found.spread == 0:
        return LEAST_RESAMPLES
    mean, variance = found.effect, found.spread**2
    effect = abs(mean) / found.spread
    at = partial(paired_difference, mean, variance, overlap=overlap)
    return _least(at, effect, alpha, overlap)


def _least(
    at: Callable[[int], Difference], effect: float, alpha: float, overlap: float = 0.0
) -> int | None:
    """The smallest number of figures with enough power, from three on.

    Args:
        at: the difference for a number of figures.
        effect: standardized, to guess a start, like ``overlap``.
    """

    def found(n: int) -> bool:
        expected = at(n)
        return t_test_power(expected.effect / expected.error, expected.df, alpha) >= POWER

    # The normal approximation (Guenther 1981) is a close start for the search.
    critical, power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(POWER)
    share = (effect / (critical + power)) ** 2 - overlap  # of the variance: 1 / n
    guess = 1 / share + critical**2 / 4 if share > 0 else MOST_SEEDS
    n = round(min(max(guess, LEAST_SEEDS), MOST_SEEDS))
    if not found(MOST_SEEDS):
        return None
    while n > LEAST_SEEDS and found(n - 1):
        n -= 1
    while not found(n):
        n += 1
    return n


def t_test_power(shift: float, df: float, alpha: float = ALPHA) -> float:
    """Power of a two-sided t test: the probability that a noncentral t variable lies beyond the
    critical values (Cohen 1988).

    The power for a known spread, averaged over the distribution of the estimated spread: its
    logarithm u has the density of √(χ² / df), integrated with equal steps.

    Args:
        shift: noncentrality, the true difference ÷ its standard error. df: degrees of freedom.
    """
    critical = t_quantile(df, 1 - alpha / 2)
    scatter = 1 / math.sqrt(2 * df)
    log_peak = math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)
    first, last = -7 * scatter - 28 / df, 7 * scatter  # less than 1e-11 lies outside
    step = scatter / STEPS
    total, root = 0.0, math.sqrt(2)
    for number in range(math.ceil((last - first) / step)):
        u = first + number * step
        spread = math.exp(u)
        density = math.exp(log_peak + df * (u - spread * spread / 2))
        above = math.erfc((critical * spread - abs(shift)) / root)
        below = math.erfc((critical * spread + abs(shift)) / root)
        total += density * (above + below) / 2
    return min(1.0, total * step)
