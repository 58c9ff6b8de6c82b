"""What timing is asked for, in words, and how long it will take."""

from __future__ import annotations

from collections.abc import Sequence

from seqbench.measure.latency.protocol import BLOCK_SECONDS, MIN_ROUNDS
from seqbench.suite.keys import Latency

#: Of each process beside its timing: it starts, loads the case and meets its data.
LOAD_SECONDS = 0.5


def latency_words(asked: Latency) -> str:
    """``10 s for each case; batch 1, 64; 1 thread; eager; …``."""
    parts = [
        f"{asked.budget:g} s for each case",
        f"batch {_list(asked.batch_sizes)}",
        f"length {_list(asked.seq_lens) if asked.seq_lens else 'as the dataset'}",
        f"threads {_list(asked.threads)}",
        _list(asked.runtimes),
        f"{asked.processes} processes, {asked.warm_up:g} s of warming up each",
        f"until ±{100 * asked.precision:g} %",
    ]
    return "; ".join(parts)


def _list(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)


def least_seconds(asked: Latency, cases: int) -> float:
    """Time for all cases where none is precise before its budget ends and nothing is compiled.

    However short the budget, each process is loaded, warmed up, and takes part in a few rounds.
    """
    settings = len(asked.batch_sizes) * max(1, len(asked.seq_lens))
    settings *= len(asked.threads) * len(asked.runtimes)
    rounds = asked.processes * MIN_ROUNDS * settings * BLOCK_SECONDS
    process = LOAD_SECONDS + asked.warm_up
    return cases * (asked.processes * process + max(asked.budget, rounds))
