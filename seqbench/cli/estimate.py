"""The latency settings in words, and how long timing will take."""

from __future__ import annotations

from collections.abc import Sequence

from seqbench.measure.latency.protocol import BLOCK_SECONDS, MIN_ROUNDS
from seqbench.suite.keys import Latency

#: Overhead of each process, in seconds: start, load the case and its data.
LOAD_SECONDS = 0.5


def latency_words(latency: Latency) -> str:
    """``10 s per case; batch 1, 64; 1 thread; eager; …``."""
    parts = [
        f"{latency.budget:g} s per case",
        f"batch {_list(latency.batch_sizes)}",
        f"length {_list(_lengths(latency))}",
        f"threads {_list(latency.threads)}",
        _list(latency.runtimes),
        f"{latency.processes} processes, {latency.warm_up:g} s of warm-up each",
        f"until ±{100 * latency.precision:g} %",
    ]
    return "; ".join(parts)


def _lengths(latency: Latency) -> Sequence[object]:
    own = [] if latency.seq_lens.only else ["of the dataset"]
    return [*own, *latency.seq_lens.given]


def _list(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)


def least_seconds(latency: Latency, cases: int, *, training_step: bool = False) -> float:
    """Seconds for all cases if every case uses its whole budget and nothing is compiled.

    However short the budget, each process is loaded, warmed up, and timed for a few rounds.

    Args:
        training_step: whether a training step is timed, too, in a contest of its own.
    """
    settings = len(latency.batch_sizes) * len(_lengths(latency))
    settings *= len(latency.threads) * len(latency.runtimes)
    contests = [settings, 1] if training_step else [settings]
    return cases * sum(_least_seconds(latency, each) for each in contests)


def _least_seconds(latency: Latency, settings: int) -> float:
    rounds = latency.processes * MIN_ROUNDS * settings * BLOCK_SECONDS
    process = LOAD_SECONDS + latency.warm_up
    return latency.processes * process + max(latency.budget, rounds)
