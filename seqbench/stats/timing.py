"""Summaries of latency and throughput, and ratios of interleaved timings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from seqbench.stats.distributions import t_quantile
from seqbench.stats.intervals import quantile, ratio_interval, stdev

#: Calls needed before a percentile is shown: 64 for p90, 662 for p99 (MLPerf inference
#: rules, single-stream latency at 99 % confidence).
ENOUGH_FOR_P90, ENOUGH_FOR_P99 = 64, 662

#: A timing is unstable if the interquartile range of its calls exceeds this fraction of the median.
UNSTABLE_SPREAD = 0.25

#: Two latencies closer than this fraction are never called different: memory layout alone can cause
#: such a difference.
INDIFFERENCE = 0.005

#: With fewer processes than this, the jackknife alone underestimates their spread.
FEW_PROCESSES = 5


def block_figures(blocks: Sequence[Sequence[float]], cycle: int = 1) -> list[float]:
    """The figure of each block of a process: its median call, in seconds.

    If the calls of a cycle have different inputs, it is a mean over the cycle, and still hardly
    influenced by calls that were disturbed: each call counts as a multiple of the median call with
    the same inputs in this process. The figure is the block's median multiple, times the mean of
    those medians over the cycle.

    Args:
        blocks: for each block its calls; whole cycles.
        cycle: number of calls in a cycle.
    """
    if cycle == 1:
        return [median(block) for block in blocks]
    usual = [
        median([call for block in blocks for call in block[place::cycle]]) for place in range(cycle)
    ]
    mean = fmean(usual)
    return [
        mean * median([call / usual[n % cycle] for n, call in enumerate(block)]) for block in blocks
    ]


def latency_summary(
    processes: Sequence[Sequence[Sequence[float]]], cycle: int = 1
) -> dict[str, Any]:
    """Summary of calls within blocks within processes.

    Args:
        processes: for each process its blocks, for each block its calls, in seconds.
        cycle: number of calls in a cycle (see :func:`block_figures`).

    Returns:
        ``median_s``: median over processes of the median over blocks of :func:`block_figures`;
        ``low_s``, ``high_s``: its 95 % interval (see :func:`ratio_interval`);
        ``p90_s``, ``p99_s``: of all calls, or None if there are too few, or too few in a cycle;
        ``n`` calls; ``processes``; ``process_medians_s``;
        ``spread``: interquartile range ÷ median, of all calls, each as a multiple of the median
        call with the same inputs; ``unstable``: whether that is above 25 %.
    """
    medians = [median(block_figures(process, cycle)) for process in processes]
    blocks = [block for process in processes for block in process]
    calls = sorted(call for block in blocks for call in block)
    low, high = ratio_interval(medians)
    spread = _spread(blocks, cycle)
    return {
        "median_s": median(medians),
        "low_s": low,
        "high_s": high,
        "p90_s": _percentile(calls, 0.90, ENOUGH_FOR_P90, cycle),
        "p99_s": _percentile(calls, 0.99, ENOUGH_FOR_P99, cycle),
        "n": len(calls),
        "processes": len(processes),
        "process_medians_s": medians,
        "spread": spread,
        "unstable": spread > UNSTABLE_SPREAD,
    }


def _spread(blocks: Sequence[Sequence[float]], cycle: int) -> float:
    """How far calls with the same inputs lie apart: see :func:`latency_summary`."""
    relative = []
    for place in range(cycle):
        calls = [call for block in blocks for call in block[place::cycle]]
        middle = median(calls)
        relative += [call / middle for call in calls]
    relative.sort()
    lower, middle, upper = (quantile(relative, q) for q in (0.25, 0.5, 0.75))
    return (upper - lower) / middle


def _percentile(calls: Sequence[float], q: float, enough: int, cycle: int) -> float | None:
    """None for fewer than ``enough`` calls, and if less than one call of a cycle lies above it: a
    cycle of 16 sequences cannot show how long the longest 1 % of many take.
    """
    if len(calls) < enough or 1 < cycle < round(1 / (1 - q)):
        return None
    return quantile(calls, q)


def paired_ratio(processes: Sequence[Sequence[tuple[float, float]]]) -> dict[str, Any]:
    """Ratio of two interleaved timings, from pairs of the same round.

    The estimate is :func:`biweight` of the logarithms of all rounds' ratios, which rounds in which
    the machine changed speed hardly influence. Its standard error is that of the
    leave-one-process-out jackknife, so only processes count as independent; with fewer than five
    processes, at least that of the mean of their own centers.

    Args:
        processes: for each pair of processes, the two figures of each round.

    Returns:
        ``ratio``: first ÷ second; ``low``, ``high``: its 95 % interval, Student's t with one degree
        of freedom fewer than there are processes (None for a single process, or if all agree to the
        last digit); ``n`` processes;
        ``p``: two-sided, for the null hypothesis that the two differ by at most ``INDIFFERENCE``
        (1 for a single process): the excess over that margin, divided by the standard error.
    """
    logs = [[math.log(a / b) for a, b in rounds] for rounds in processes]
    center = biweight([log for rounds in logs for log in rounds])
    found = {"ratio": math.exp(center), "low": None, "high": None, "p": 1.0, "n": len(logs)}
    if len(logs) < 2:
        return found
    from scipy.special import stdtr

    error = _jackknife_error(logs)
    if len(logs) < FEW_PROCESSES:
        # So few leave-one-out figures can agree by chance, so the error is at least that of
        # processes simply compared with each other.
        error = max(error, stdev([biweight(one) for one in logs]) / math.sqrt(len(logs)))
    if error == 0:  # the clock is too coarse: the error is unknown
        return found
    half = t_quantile(len(logs) - 1, 0.975) * error
    found |= {"low": math.exp(center - half), "high": math.exp(center + half)}
    excess = abs(center) - math.log1p(INDIFFERENCE)
    if excess > 0:
        found["p"] = float(2 * stdtr(len(logs) - 1, -excess / error))
    return found


def biweight(values: Sequence[float]) -> float:
    """Tukey's biweight M-estimate of the center (Beaton and Tukey 1974).

    Tuned to be 95 % efficient for normal values (c = 4.685), with the median absolute deviation as
    scale.
    """
    import numpy as np

    data = np.asarray(values, dtype=float)
    center = float(np.median(data))
    reach = 4.685 * 1.4826 * float(np.median(np.abs(data - center)))
    if reach == 0:
        return center
    for _ in range(50):
        weights = (1 - np.minimum(np.abs(data - center) / reach, 1) ** 2) ** 2
        last, center = center, float((weights * data).sum() / weights.sum())
        if abs(center - last) <= 1e-6 * reach:
            break
    return center


def _jackknife_error(groups: Sequence[Sequence[float]]) -> float:
    """Standard error of :func:`biweight`, from leaving out one group at a time (Efron 1982)."""
    n = len(groups)
    estimates = [
        biweight([value for k, group in enumerate(groups) if k != left_out for value in group])
        for left_out in range(n)
    ]
    return (n - 1) / math.sqrt(n) * stdev(estimates)


def throughput_summary(windows: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """Median over windows, one per process, of samples ÷ wall seconds, with its 95 % interval."""
    rates = [samples / seconds for samples, seconds in windows]
    low, high = ratio_interval(rates)
    return {"per_s": median(rates), "low_per_s": low, "high_per_s": high, "n": len(rates)}
