"""Converts what runs of format 1 stored differently."""

from __future__ import annotations

import math
from dataclasses import replace

from seqbench.records import Comparison
from seqbench.stats.distributions import t_tail
from seqbench.stats.timing import INDIFFERENCE
from seqbench.stats.welch import Difference


def from_format_1(found: Comparison) -> Comparison:
    """A comparison of timings as format 2 has it.

    In format 1, ``p`` was corrected, and the one before the correction was not stored. It is
    recovered from the interval, which comes from the same test
    (:func:`seqbench.stats.timing.paired_ratio`).
    """
    df = found.n - 1
    p = 1.0  # as with a single process, or without an interval
    if found.low is not None and found.high is not None and found.low < found.high:
        effect, low, high = map(math.log, (found.effect, found.low, found.high))
        ratio = Difference.of_interval(effect, low, high, df)
        excess = abs(ratio.effect) - math.log1p(INDIFFERENCE)
        p = 2 * t_tail(df, excess / ratio.error) if excess > 0 else 1.0
    return replace(found, p=p, p_corrected=found.p, df=df)
