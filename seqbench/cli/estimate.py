"""The latency settings, and how long a run will take, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqbench.display.countdown import rough
from seqbench.suite.keys import Latency, TrainingTime

if TYPE_CHECKING:
    from seqbench.runner.forecast.before_run import Forecast


#: Reasons may be long.
LONGEST = 2000


def latency_words(latency: Latency) -> str:
    """``10 s per case; batch 1, 64; 1 thread; eager; …``."""
    parts = [
        f"{latency.budget:g} s per case",
        f"batch {_list(latency.batch_sizes)}",
        f"length {_list(_lengths(latency))}",
        f"threads {_list(latency.threads)}",
        _list(latency.runtimes),
        *_how_often(latency),
    ]
    return "; ".join(parts)


def training_time_words(training: TrainingTime) -> str:
    """``5 s per case; batches as in training; 10 processes, …``."""
    parts = [f"{training.budget:g} s per case", "batches as in training", *_how_often(training)]
    return "; ".join(parts)


def _how_often(timing: Latency | TrainingTime) -> list[str]:
    return [
        f"{timing.processes} processes, {timing.warm_up:g} s of warm-up each",
        f"until ±{100 * timing.precision:g} %",
    ]


def _lengths(latency: Latency) -> Sequence[object]:
    own = [] if latency.seq_lens.only else ["of the dataset"]
    return [
        *own,
        *latency.seq_lens.steps,
        *(["as in the data"] if latency.seq_lens.as_data else []),
    ]


def _list(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)


def forecast_words(found: Forecast) -> str:
    """``whole run: about 4 min (training 3 min, measuring 1 min), based on …``; what is unknown is
    ``n/a``, with the reason.
    """
    from seqbench.report.text import clean

    return clean(_forecast_words(found), LONGEST)


def _forecast_words(found: Forecast) -> str:
    plus = "".join(f", plus {what}" for what in found.without)
    early = ", less if latency is precise earlier" if found.at_most else ""
    if found.seconds is None:
        words = f"whole run: n/a ({'; '.join(found.reasons) or 'nothing can be trained'})"
        known = [f"{name} about {rough(s)}" for name, s in found.parts.items() if s]
        return "; ".join([words, *known]) + (early + plus if known else "")
    parts = ", ".join(f"{name} {rough(s)}" for name, s in found.parts.items() if s)
    words = f"whole run: about {rough(found.seconds)}"
    words += f" ({parts})" if parts else ""
    basis = f", based on {found.basis}" if found.basis else ""
    guessed = "".join(f"; assumed to be like the others: {why}" for why in found.reasons)
    return words + early + plus + basis + guessed
