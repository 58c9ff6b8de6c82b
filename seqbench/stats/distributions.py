"""Student's t distribution.

In plain Python, because quantiles are needed whenever a run is shown and importing
``scipy.special`` would take as long as the rest of it. Tests compare the results with scipy's.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

#: Relative accuracy of the continued fraction, and the most terms it may take.
ACCURACY, MOST_TERMS = 1e-15, 10_000


@lru_cache(maxsize=4096)
def t_quantile(df: float, share: float) -> float:
    """Quantile of Student's t distribution at ``share``, which must be at least one half.

    Newton's method, starting from the normal quantile, which is never above it.

    Args:
        df: degrees of freedom, which need not be whole.
    """
    t = NormalDist().inv_cdf(share)
    log_peak = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    step = math.inf
    while step > 1e-7 * t:  # the remaining error is about its square
        density = math.exp(log_peak - (df + 1) / 2 * math.log1p(t * t / df))
        step = (t_tail(df, t) - (1 - share)) / density
        t += step
    return t


def t_tail(df: float, t: float) -> float:
    """Probability that a variable with Student's t distribution exceeds ``t``.

    Half the regularized incomplete beta function I(df / 2, 1 / 2) at df / (df + t²)
    (Abramowitz and Stegun 26.7.1, 26.5.27).
    """
    if t < 0:
        return 1 - t_tail(df, -t)
    return _incomplete_beta(df / 2, 0.5, t * t / df) / 2


def _incomplete_beta(a: float, b: float, ratio: float) -> float:
    """The regularized incomplete beta function I(a, b) at x = 1 / (1 + ``ratio``).

    By its continued fraction (DLMF 8.17.22) with Lentz's method, on the side on which it converges
    fast. Given (1 - x) / x, neither x nor 1 - x loses digits.
    """
    log_x, log_y = -math.log1p(ratio), -math.log1p(1 / ratio) if ratio else -math.inf
    if ratio == 0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * log_x + b * log_y)
    if math.exp(log_x) < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, math.exp(log_x)) / a
    return 1 - front * _fraction(b, a, math.exp(log_y)) / b


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, MOST_TERMS):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            c, d = 1 + factor / c, 1 / (1 + factor * d)
            value *= c * d
        if abs(c * d - 1) < ACCURACY:
            break
    return value
