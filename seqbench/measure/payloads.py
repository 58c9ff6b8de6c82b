"""What the measuring jobs are given. Importing this costs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from seqbench.plan.cases import Metric
from seqbench.plugins.choice import Choice, to_json
from seqbench.suite.keys import Measure

Mode = Literal["inference", "training"]
MODES: tuple[Mode, ...] = ("inference", "training")


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, and what it needs to run.

    Args:
        data: the prepared dataset, in the cache.
        weights: in the run's folder.
        train: the settings that it was trained with.
    """

    model: Choice
    data: str
    device: str
    weights: str
    train: Mapping[str, Any]


@dataclass(frozen=True)
class CostPayload:
    """A model whose cost is to be counted, also at ``lengths`` other than the dataset's."""

    subject: TrainedModel
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True)
class MemoryPayload:
    """A model whose memory is to be measured, also at ``lengths`` other than the dataset's."""

    subject: TrainedModel
    mode: Mode
    batch_size: int
    lengths: tuple[int, ...] = ()


def cost_requests(measure: Measure, subject: TrainedModel) -> dict[str, CostPayload]:
    """The cost of every case is counted."""
    return {"cost": CostPayload(subject, _lengths(measure))}


def memory_requests(measure: Measure, subject: TrainedModel) -> dict[str, MemoryPayload]:
    """Memory is measured in inference and in training, if the suite asks for it."""
    if measure.memory is None:
        return {}
    size, lengths = measure.memory.batch_size, _lengths(measure)
    return {f"memory/{mode}": MemoryPayload(subject, mode, size, lengths) for mode in MODES}


def _lengths(measure: Measure) -> tuple[int, ...]:
    return measure.latency.seq_lens if measure.latency is not None else ()


@dataclass(frozen=True)
class MetricPayload:
    """A model of which a plugin's metric is to be computed on the test split."""

    subject: TrainedModel
    metric: Metric


@dataclass(frozen=True)
class TimingSettings:
    """How latency is measured.

    Args:
        budget: seconds for each case.
        seq_lens: numbers of steps; none: the dataset's own length.
        threads: numbers of CPU threads.
        processes: for each case, at most.
        warm_up: seconds for each process, at least.
        precision: half-width of the interval that is enough, as a share of the figure.
        training_step: whether a training step is timed as well.
        plugin_runtimes: those of ``runtimes`` that come from plugins, by name.
    """

    budget: float
    batch_sizes: tuple[int, ...]
    seq_lens: tuple[int, ...]
    threads: tuple[int, ...]
    runtimes: tuple[str, ...]
    processes: int
    warm_up: float
    precision: float
    training_step: bool
    plugin_runtimes: Mapping[str, Choice] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """What latency depends on, as plain data: what a resume compares. Runtimes of plugins are
        part of it, so that an edited one is timed again.
        """
        found = to_json(self)
        if not self.plugin_runtimes:
            del found["plugin_runtimes"]  # runs made before there were any can be resumed
        return found


@dataclass(frozen=True)
class TimingPayload:
    """A model that is kept warm and timed when asked.

    Args:
        core: where blocks of one thread run; None for wherever the system puts them.
    """

    subject: TrainedModel
    settings: TimingSettings
    core: int | None = None
