"""Figures with their uncertainty: pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, median, stdev
from typing import Any

__all__ = ["latency", "mean_interval", "median", "nested_interval", "quantile", "throughput"]

#: Calls needed before a percentile is worth printing: 64 for p90, 662 for p99 (MLPerf inference
#: rules, single-stream latency at 99 % confidence).
ENOUGH_FOR_P90, ENOUGH_FOR_P99 = 64, 662
UNSTABLE_SPREAD = 0.25
RESAMPLES = 1000


def mean_interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean and 95 % interval of a handful of independent figures (one per seed).

    The interval is Student's: mean ± t(0.975, n - 1) · s / √n. With one value there is none.

    Returns:
        ``mean``, ``low``, ``high`` (None for n = 1) and ``n``.
    """
    n = len(values)
    middle = mean(values)
    if n < 2:
        return {"mean": middle, "low": None, "high": None, "n": n}
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.975)) * stdev(values) / math.sqrt(n)
    return {"mean": middle, "low": middle - half, "high": middle + half, "n": n}


def latency(processes: Sequence[Sequence[Sequence[float]]]) -> dict[str, Any]:
    """Summary of calls within blocks within processes.

    Args:
        processes: for each process its blocks, for each block its calls, in seconds.

    Returns:
        ``median_s``: median over processes of the median over blocks of the block's median;
        ``low_s``, ``high_s``: its 95 % interval; ``p90_s``, ``p99_s``: of all calls, or None
        where there are too few; ``n`` calls; ``processes``; ``spread``: interquartile range of all
        calls ÷ their median; ``unstable``: whether that is above 25 %.
    """
    blocks = [[median(block) for block in process] for process in processes]
    calls = sorted(call for process in processes for block in process for call in block)
    lower, middle, upper = (quantile(calls, q) for q in (0.25, 0.5, 0.75))
    low, high = nested_interval(blocks)
    spread = (upper - lower) / middle
    return {
        "median_s": median([median(process) for process in blocks]),
        "low_s": low,
        "high_s": high,
        "p90_s": quantile(calls, 0.90) if len(calls) >= ENOUGH_FOR_P90 else None,
        "p99_s": quantile(calls, 0.99) if len(calls) >= ENOUGH_FOR_P99 else None,
        "n": len(calls),
        "processes": len(processes),
        "spread": spread,
        "unstable": spread > UNSTABLE_SPREAD,
    }


def nested_interval(processes: Sequence[Sequence[float]]) -> tuple[float | None, float | None]:
    """95 % bootstrap interval of the median of per-process medians.

    Processes are drawn with replacement, then blocks within each: calls of one process resemble
    each other, so pooling them would make the interval too narrow (Davison and Hinkley, Bootstrap
    Methods and their Application, 1997, section 3.8). None where there is a single process.

    Args:
        processes: for each process the medians of its blocks.
    """
    if len(processes) < 2:
        return None, None
    import numpy as np

    random = np.random.default_rng(0)  # the same samples give the same interval
    # Medians of resampled blocks are drawn per process; a resample then picks among them.
    columns = []
    for blocks in processes:
        values = np.asarray(blocks)
        rows = random.integers(len(values), size=(RESAMPLES, len(processes), len(values)))
        columns.append(np.median(values[rows], axis=2))  # (resamples, draws)
    drawn = random.integers(len(processes), size=(RESAMPLES, len(processes)))
    stacked = np.stack(columns)  # (processes, resamples, draws)
    draws = np.arange(len(processes))
    middles = stacked[drawn, np.arange(RESAMPLES)[:, None], draws]
    low, high = np.quantile(np.median(middles, axis=1), [0.025, 0.975])
    return float(low), float(high)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The ``share`` quantile of sorted numbers, by linear interpolation (Hyndman-Fan type 7)."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def throughput(windows: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """Median over windows of samples ÷ wall seconds of the whole window."""
    return {"per_s": median([samples / seconds for samples, seconds in windows]), "n": len(windows)}
