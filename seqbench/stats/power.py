"""How many seeds would tell two models apart.

In plain Python, as :mod:`.distributions`: it is worked out whenever a run is shown, and importing
``scipy.special`` would take as long as showing it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean

from seqbench.stats.distributions import t_quantile
from seqbench.stats.intervals import stdev
from seqbench.stats.paired import ALPHA

#: How likely a difference should be found where there is one, for :func:`seeds_needed`.
POWER = 0.8

MOST_SEEDS = 1_000

#: Of the integral in :func:`power`, for each standard deviation.
STEPS = 3


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
    spread = stdev(differences)
    if spread == 0:
        return fewest
    effect = abs(fmean(differences)) / spread
    # By normal distributions (Guenther 1981): nearly right, so that few need be tried.
    critical, likely = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(POWER)
    guess = ((critical + likely) / effect) ** 2 + critical**2 / 2
    n = round(min(max(guess, fewest), MOST_SEEDS))
    while n > fewest and t_test_power(effect, n - 1, alpha) >= POWER:
        n -= 1
    while n <= MOST_SEEDS and t_test_power(effect, n, alpha) < POWER:
        n += 1
    return n if n <= MOST_SEEDS else None


def t_test_power(effect: float, n: int, alpha: float = ALPHA) -> float:
    """Power of a two-sided paired t test of ``n`` differences whose mean is ``effect`` · s.

    What it would be were the spread known, averaged over how the spread seen scatters about it:
    its logarithm u has the density of √(χ² / df), integrated with equal steps.
    """
    df, shift = n - 1, effect * math.sqrt(n)
    critical = t_quantile(df, 1 - alpha / 2)
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
