"""Converts what runs of format 1 stored differently."""

from __future__ import annotations

import math
from dataclasses import replace

from seqbench.records import Comparison
from seqbench.stats.distributions import t_quantile, t_tail
from seqbench.stats.timing import INDIFFERENCE


def from_format_1(found: Comparison) -> Comparison:
    """A comparison of timings as format 2 has it.

    In format 1, ``p`` was corrected, and the one before the correction was not stored. It is
    recovered from the interval, which comes from the same test
    (:func:`seqbench.stats.timing.paired_ratio`).
    """
    df = found.n - 1
    p = 1.0 if df < 1 else None
    if found.low is not None and found.high is not None and 0 < found.low < found.high:
        error = math.log(found.high / found.low) / 2 / t_quantile(df, 0.975)
        excess = abs(math.log(found.effect)) - math.log1p(INDIFFERENCE)
        p = 2 * t_tail(df, excess / error) if excess > 0 else 1.0
    return replace(found, p=p, p_corrected=found.p, df=df)
