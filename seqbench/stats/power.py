"""Power: how many seeds would be enough to distinguish two cases.

In plain Python, like :mod:`.distributions`, because it is needed whenever a run is shown.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from seqbench.stats.distributions import t_quantile
from seqbench.stats.holm import ALPHA
from seqbench.stats.welch import LEAST_SEEDS, Sample, difference_at

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
    # The normal approximation (Guenther 1981) is a close start for the search.
    critical, power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(POWER)
    guess = ((critical + power) / effect) ** 2 + critical**2 / 4
    n = round(min(max(guess, LEAST_SEEDS), MOST_SEEDS))
    while n > LEAST_SEEDS and _found(a, b, n - 1, alpha):
        n -= 1
    while n <= MOST_SEEDS and not _found(a, b, n, alpha):
        n += 1
    return n if n <= MOST_SEEDS else None


def _found(a: Sample, b: Sample, n: int, alpha: float) -> bool:
    """Whether the power with ``n`` seeds is enough."""
    expected = difference_at(a, b, n)
    return t_test_power(expected.effect / expected.error, expected.df, alpha) >= POWER


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
