"""Power: how many seeds would be enough to distinguish two cases.

In plain Python, like :mod:`.distributions`, because it is needed whenever a run is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean

from seqbench.stats.distributions import t_quantile
from seqbench.stats.intervals import stdev
from seqbench.stats.paired import ALPHA

#: Probability with which :func:`seeds_needed` requires an existing difference to be found.
POWER = 0.8

MOST_SEEDS = 1_000

#: Integration steps per standard deviation in :func:`t_test_power`.
STEPS = 3


def seeds_needed(differences: Sequence[float], alpha: float = ALPHA) -> int | None:
    """Estimate how many paired differences would be enough, if further ones are like these.

    The smallest n at which the exact sign-flip test can reach ``alpha`` (2 / 2ⁿ) and a
    two-sided paired t test has 80 % power for the observed mean and standard deviation: one minus
    the probability that a noncentral t variable with n - 1 degrees of freedom and
    noncentrality √n · |mean| / s lies between the critical values (Cohen 1988).

    Returns:
        None for fewer than three differences (two say almost nothing about their spread), for a
        mean of zero, and if more than 1,000 would be needed.
    """
    if len(differences) < 3 or fmean(differences) == 0:
        return None
    fewest = max(2, math.ceil(1 - math.log2(alpha)))
    spread = stdev(differences)
    if spread == 0:
        return fewest
    effect = abs(fmean(differences)) / spread
    # The normal approximation (Guenther 1981) is a close start for the search.
    critical, power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(POWER)
    guess = ((critical + power) / effect) ** 2 + critical**2 / 2
    n = round(min(max(guess, fewest), MOST_SEEDS))
    while n > fewest and t_test_power(effect, n - 1, alpha) >= POWER:
        n -= 1
    while n <= MOST_SEEDS and t_test_power(effect, n, alpha) < POWER:
        n += 1
    return n if n <= MOST_SEEDS else None


def t_test_power(effect: float, n: int, alpha: float = ALPHA) -> float:
    """Power of a two-sided paired t test of ``n`` differences whose mean is ``effect`` · s.

    The power for a known spread, averaged over the distribution of the estimated spread: its
    logarithm u has the density of √(χ² / df), integrated with equal steps.
    """
    df, shift = n - 1, effect * math.sqrt(n)
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
        above = math.erfc((critical * spread - shift) / root)
        below = math.erfc((critical * spread + shift) / root)
        total += density * (above + below) / 2
    return min(1.0, total * step)
