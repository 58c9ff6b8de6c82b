"""How steady the machine is: the same small computation, repeated and timed in blocks."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch

from seqbench.stats.intervals import quantile

#: Rows and columns of the matrices; they fit into the cache of a core.
SIZE = 192

BLOCK_S, WARM_UP_S = 0.020, 0.3


def blocks(seconds: float) -> list[float]:
    """Multiply two matrices on one thread repeatedly.

    Returns:
        the duration of each block (about 20 ms) in seconds; all blocks have the same calls.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    collecting = gc.isenabled()
    gc.disable()
    try:
        a, b, out = (torch.rand(SIZE, SIZE) for _ in range(3))
        with torch.inference_mode():
            calls = _calls_per_block(a, b, out)
            end = time.perf_counter() + seconds
            durations = [_block(a, b, out, calls)]
            while time.perf_counter() < end:
                durations.append(_block(a, b, out, calls))
        return durations
    finally:
        torch.set_num_threads(threads)
        if collecting:
            gc.enable()


def _calls_per_block(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> int:
    """The number of calls that take ``BLOCK_S``, estimated from the fastest warm-up block."""
    end = time.perf_counter() + WARM_UP_S
    fastest = _block(a, b, out, 10)
    while time.perf_counter() < end:
        fastest = min(fastest, _block(a, b, out, 10))
    return max(1, round(10 * BLOCK_S / fastest))


def _block(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor, calls: int) -> float:
    start = time.perf_counter_ns()
    for _ in range(calls):
        torch.mm(a, b, out=out)
    return (time.perf_counter_ns() - start) / 1e9


def summary(blocks: Sequence[float]) -> dict[str, Any]:
    """Summarize the durations of the blocks.

    Returns:
        ``median_s``, ``n``; ``spread``: interquartile range ÷ median; ``slowest``: slowest block ÷
        median; ``drift``: median of the last third ÷ that of the first, minus 1;
        ``noise``: the larger of half the spread and the absolute drift: how much, as a fraction,
        figures measured at two different moments may differ.
    """
    ordered = sorted(blocks)
    lower, middle, upper = (quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    third = max(1, len(blocks) // 3)
    drift = median(blocks[-third:]) / median(blocks[:third]) - 1
    spread = (upper - lower) / middle
    return {
        "median_s": middle,
        "n": len(blocks),
        "spread": spread,
        "slowest": ordered[-1] / middle,
        "drift": drift,
        "noise": max(spread / 2, abs(drift)),
    }
