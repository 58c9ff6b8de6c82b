"""Figures with their uncertainty: pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist, fmean, median
from typing import Any

__all__ = [
    "biweight",
    "exponent",
    "exponent_interval",
    "latency",
    "mean_interval",
    "median",
    "quantile",
    "ratio",
    "ratio_interval",
    "stdev",
    "t_quantile",
    "throughput",
]

#: Calls needed before a percentile is worth printing: 64 for p90, 662 for p99 (MLPerf inference
#: rules, single-stream latency at 99 % confidence).
ENOUGH_FOR_P90, ENOUGH_FOR_P99 = 64, 662
UNSTABLE_SPREAD = 0.25
#: Two latencies closer than this share are never called different: where a model's memory happens
#: to lie is worth as much.
INDIFFERENCE = 0.005
#: Fewer processes than this cannot tell their own spread by a jackknife alone.
FEW_PROCESSES = 5


def mean_interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean and 95 % interval of a handful of independent figures (one per seed).

    The interval is Student's: mean ± t(0.975, n - 1) · s / √n. With one value there is none.

    Returns:
        ``mean``, ``low``, ``high`` (None for n = 1) and ``n``.
    """
    n = len(values)
    middle = fmean(values)
    if n < 2:
        return {"mean": middle, "low": None, "high": None, "n": n}
    half = t_quantile(n - 1, 0.975) * stdev(values) / math.sqrt(n)
    return {"mean": middle, "low": middle - half, "high": middle + half, "n": n}


@lru_cache(maxsize=4096)
def t_quantile(df: int, share: float) -> float:
    """What a ``share`` (of at least one half) of Student's t distribution lies below.

    Newton's method from the normal quantile, which is never above: importing scipy would take
    longer than all the rest of showing a run.
    """
    t = NormalDist().inv_cdf(share)
    log_peak = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    step = math.inf
    while step > 1e-7 * t:  # its square is what is left
        density = math.exp(log_peak - (df + 1) / 2 * math.log1p(t * t / df))
        step = (share - 0.5 - _t_share(df, t) / 2) / density
        t += step
    return t


def _t_share(df: int, t: float) -> float:
    """How much of Student's t distribution lies between -t and t: Abramowitz and Stegun 26.7.3–4,
    a finite sum for whole degrees of freedom.
    """
    angle = math.atan(t / math.sqrt(df))
    odd, cosine = df % 2, math.cos(angle)
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(1 + odd, df, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total


def stdev(values: Sequence[float]) -> float:
    """Standard deviation of a sample; 0 exactly where all agree.

    That of the standard library reckons in fractions, and takes ten times as long.
    """
    offsets = [value - values[0] for value in values]
    middle = fmean(offsets)
    return math.sqrt(math.fsum((one - middle) ** 2 for one in offsets) / (len(values) - 1))


def latency(processes: Sequence[Sequence[Sequence[float]]]) -> dict[str, Any]:
    """Summary of calls within blocks within processes.

    Args:
        processes: for each process its blocks, for each block its calls, in seconds.

    Returns:
        ``median_s``: median over processes of the median over blocks of the block's median;
        ``low_s``, ``high_s``: its 95 % interval (see :func:`ratio_interval`);
        ``p90_s``, ``p99_s``: of all calls, or None where there are too few;
        ``n`` calls; ``processes``; ``process_medians_s``;
        ``spread``: interquartile range of all calls ÷ their median; ``unstable``: whether that is
        above 25 %.
    """
    medians = [median([median(block) for block in process]) for process in processes]
    calls = sorted(call for process in processes for block in process for call in block)
    lower, middle, upper = (quantile(calls, q) for q in (0.25, 0.5, 0.75))
    low, high = ratio_interval(medians)
    spread = (upper - lower) / middle
    return {
        "median_s": median(medians),
        "low_s": low,
        "high_s": high,
        "p90_s": quantile(calls, 0.90) if len(calls) >= ENOUGH_FOR_P90 else None,
        "p99_s": quantile(calls, 0.99) if len(calls) >= ENOUGH_FOR_P99 else None,
        "n": len(calls),
        "processes": len(processes),
        "process_medians_s": medians,
        "spread": spread,
        "unstable": spread > UNSTABLE_SPREAD,
    }


def ratio_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % interval of the centre of a few positive figures, one per process.

    Student's t on their logarithms, exp(mean ± t(0.975, n - 1) · s / √n), since processes differ
    by a factor; widened where needed to hold the median. Calls and blocks of one process resemble
    each other, so only processes count as independent, and a bootstrap of three processes cannot
    reach beyond the least and the greatest of them: it would hold the truth 75 % of the time at
    best. None where there is a single process.
    """
    found = mean_interval([math.log(value) for value in values])
    if found["low"] is None:
        return None, None
    middle = median(values)
    return min(math.exp(found["low"]), middle), max(math.exp(found["high"]), middle)


def ratio(processes: Sequence[Sequence[tuple[float, float]]]) -> dict[str, Any]:
    """How two things that took turns compare, from pairs of the same round.

    The centre of the logarithms of all rounds' ratios is :func:`biweight`, which a machine that
    changes its speed between the two halves of a round does not move. Its error is that of the
    jackknife that leaves out one process at a time, so that only processes count as independent;
    with fewer than five of them, that of the mean of their own centres, if it is larger.

    Args:
        processes: for each pair of processes, the two figures of each round.

    Returns:
        ``ratio``: first ÷ second; ``low``, ``high``: its 95 % interval, Student's t with one degree
        of freedom less than there are processes (None with a single one, or where all agree to the
        last digit); ``n`` processes;
        ``p``: two-sided, for the hypothesis that the two differ by no more than ``INDIFFERENCE``
        (1 with a single process): the distance beyond that margin is held against the error.
    """
    logs = [[math.log(a / b) for a, b in rounds] for rounds in processes]
    centre = biweight([log for rounds in logs for log in rounds])
    found = {"ratio": math.exp(centre), "low": None, "high": None, "p": 1.0, "n": len(logs)}
    if len(logs) < 2:
        return found
    from scipy.special import stdtr

    error = _jackknife_error(logs)
    if len(logs) < FEW_PROCESSES:
        # So few leave-one-out figures can agree by chance: they are not to be surer than processes
        # that are simply compared with each other.
        error = max(error, stdev([biweight(one) for one in logs]) / math.sqrt(len(logs)))
    if error == 0:  # the clock is too coarse to tell: nothing is known of the error
        return found
    half = t_quantile(len(logs) - 1, 0.975) * error
    found |= {"low": math.exp(centre - half), "high": math.exp(centre + half)}
    excess = abs(centre) - math.log1p(INDIFFERENCE)
    if excess > 0:
        found["p"] = float(2 * stdtr(len(logs) - 1, -excess / error))
    return found


def biweight(values: Sequence[float]) -> float:
    """Tukey's biweight M-estimate of the centre (Beaton and Tukey 1974), tuned to be 95 % efficient
    for normal values (c = 4.685), with the median absolute deviation as scale.
    """
    import numpy as np

    data = np.asarray(values, dtype=float)
    centre = float(np.median(data))
    reach = 4.685 * 1.4826 * float(np.median(np.abs(data - centre)))
    if reach == 0:
        return centre
    for _ in range(50):
        weights = (1 - np.minimum(np.abs(data - centre) / reach, 1) ** 2) ** 2
        last, centre = centre, float((weights * data).sum() / weights.sum())
        if abs(centre - last) <= 1e-6 * reach:
            break
    return centre


def _jackknife_error(groups: Sequence[Sequence[float]]) -> float:
    """Standard error of :func:`biweight`, from leaving out one group at a time (Efron 1982)."""
    n = len(groups)
    left = [
        biweight([value for other in groups if other is not group for value in other])
        for group in groups
    ]
    return (n - 1) / math.sqrt(n) * stdev(left)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The ``share`` quantile of sorted numbers, by linear interpolation (Hyndman-Fan type 7)."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def throughput(windows: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """Median over windows, one per process, of samples ÷ wall seconds; with its 95 % interval."""
    rates = [samples / seconds for samples, seconds in windows]
    low, high = ratio_interval(rates)
    return {"per_s": median(rates), "low_per_s": low, "high_per_s": high, "n": len(rates)}


def exponent(lengths: Sequence[float], figures: Sequence[float]) -> float | None:
    """How fast a figure grows with the length: 1 for proportional, 2 for quadratic.

    The least-squares slope of the figure's logarithm on the length's: Σ(x - x̄)(y - ȳ) ÷ Σ(x - x̄)².
    None with fewer than two different lengths, or where a figure is not positive.
    """
    if len(set(lengths)) < 2 or min(figures) <= 0:
        return None
    x, y = ([math.log(value) for value in values] for values in (lengths, figures))
    middle = fmean(x)
    offsets = [value - middle for value in x]
    products = [offset * value for offset, value in zip(offsets, y, strict=True)]
    return math.fsum(products) / math.fsum(offset**2 for offset in offsets)


def exponent_interval(
    lengths: Sequence[float], processes: Sequence[Sequence[float]]
) -> dict[str, Any] | None:
    """:func:`exponent` of figures that several processes each have for every length.

    Returns:
        ``exponent``: the mean over processes; ``low``, ``high``, ``n`` as :func:`mean_interval`.
        None where there is no exponent.
    """
    slopes = [exponent(lengths, figures) for figures in processes]
    known = [slope for slope in slopes if slope is not None]
    if not known:
        return None
    found = mean_interval(known)
    return {"exponent": found.pop("mean"), **found}
