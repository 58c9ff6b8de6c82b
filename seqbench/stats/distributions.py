"""Student's t distribution.

In plain Python, because quantiles are needed whenever a run is shown and importing
``scipy.special`` would take as long as the rest of it. Tests compare the results with scipy's.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist


@lru_cache(maxsize=4096)
def t_quantile(df: int, share: float) -> float:
    """Quantile of Student's t distribution at ``share``, which must be at least one half.

    Newton's method, starting from the normal quantile, which is never above it.
    """
    t = NormalDist().inv_cdf(share)
    log_peak = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    step = math.inf
    while step > 1e-7 * t:  # the remaining error is about its square
        density = math.exp(log_peak - (df + 1) / 2 * math.log1p(t * t / df))
        step = (share - 0.5 - _t_share(df, t) / 2) / density
        t += step
    return t


def _t_share(df: int, t: float) -> float:
    """Probability of Student's t distribution between -t and t.

    Abramowitz and Stegun 26.7.3–4, a finite sum for integer degrees of freedom.
    """
    angle = math.atan(t / math.sqrt(df))
    odd, cosine = df % 2, math.cos(angle)
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(1 + odd, df, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total
