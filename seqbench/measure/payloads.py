"""Payloads of the measuring jobs. Importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from seqbench.measure.latency.protocol import WINDOW_FRACTION
from seqbench.plan.cases import Case, Metric
from seqbench.plugins.choice import Choice, to_json
from seqbench.records import Answers, TrialRecord
from seqbench.suite.keys import Measure
from seqbench.training.data import prepared_file

Mode = Literal["inference", "training"]
MODES: tuple[Mode, ...] = ("inference", "training")


@dataclass(frozen=True)
class Refit:
    """How an estimator is fitted again.

    Args:
        seed: of its trial.
        form: what its answers for classes say (:class:`.TrialRecord`).
    """

    seed: int
    form: str


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, and the files that it needs.

    Args:
        data: the prepared dataset, relative to the cache.
        weights: relative to the run's folder.
        train: the settings that it was trained with.
        answers: of the trained model, which the loaded one must give (see
            :mod:`seqbench.training.answers`); None in older runs.
        refit: how an estimator is fitted again; None for other models.
    """

    model: Choice
    data: str
    device: str
    weights: str
    train: Mapping[str, Any]
    answers: Answers | None = None
    refit: Refit | None = None

    @classmethod
    def of(cls, case: Case, record: TrialRecord) -> TrainedModel:
        """The model that a trial of a case has trained."""
        return cls(
            case.model,
            prepared_file(case.dataset),
            case.device,
            weights=record.weights,
            train=case.train,
            answers=record.answers,
            refit=Refit(record.seed, record.form) if case.model.is_estimator else None,
        )


@dataclass(frozen=True)
class MatchPayload:
    """A model whose width to solve.

    Args:
        model: with any value for ``parameter``.
        data: the prepared dataset, relative to the cache.
        parameter: of the model, which makes it wider.
        quantity: ``parameters``, ``macs`` or ``state_bytes``; ``wanted`` is the number to reach.
        start: the width to try first.
        lowest, highest: the limits of the width; None for the default ones.
        most_bytes: the most that the weights of a model may take; None for no limit.
    """

    model: Choice
    data: str
    parameter: str
    quantity: str
    wanted: int
    start: int
    lowest: float | None = None
    highest: float | None = None
    most_bytes: int | None = None


@dataclass(frozen=True)
class CostPayload:
    """A model whose cost to count, at the dataset's length and at ``lengths``."""

    subject: TrainedModel
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True)
class MemoryPayload:
    """A model whose memory to measure, at the dataset's length and at ``lengths``."""

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
    return measure.latency.seq_lens.steps if measure.latency is not None else ()


@dataclass(frozen=True)
class MetricPayload:
    """A model, and a plugin's metric to compute on the test split."""

    subject: TrainedModel
    metric: Metric


@dataclass(frozen=True)
class TimingSettings:
    """How latency is measured.

    Args:
        budget: seconds per case.
        seq_lens: numbers of steps, beside the dataset's own.
        own_length: whether the dataset's own length is measured, too.
        as_data: whether the lengths of the test split are measured, too.
        threads: numbers of CPU threads.
        processes: maximum number per case.
        warm_up: minimum seconds per process.
        precision: half-width of the interval at which timing stops, as a fraction of the figure.
        training_step: whether a training step is timed, and nothing else, in workers that start
            like a training.
        plugin_runtimes: those of ``runtimes`` that plugins provide, by name.
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
    own_length: bool = True
    as_data: bool = False
    plugin_runtimes: Mapping[str, Choice] = field(default_factory=dict)

    @property
    def window_fraction(self) -> float:
        """Fraction of the budget for throughput windows; training needs none."""
        return 0.0 if self.training_step else WINDOW_FRACTION

    def identity(self) -> dict[str, Any]:
        """What latency depends on, as plain data, for a resume to compare.

        Plugins' runtimes are part of it, so that cases are timed again after one is edited.
        """
        identity = to_json(self)
        if self.training_step:  # before, a single batch was formed ahead of all steps
            identity["forms_batches"] = True
        if not self.plugin_runtimes:
            del identity["plugin_runtimes"]  # runs from before this key existed can be resumed
        own_length = identity.pop("own_length")
        if not identity["as_data"]:
            del identity["as_data"]
            # Before own_length existed, it was timed only without seq_lens.
            own_length = own_length and self.seq_lens
        return {**identity, "own_length": True} if own_length else identity


@dataclass(frozen=True)
class TimingPayload:
    """A model that is kept warm and timed on request.

    Args:
        place: where in the list of the worker's CPU cores the core is on which it times blocks with
            one thread: a fraction from 0 to below 1, the same for all workers of a round, so that
            they share that core. None leaves the choice to the system.
        compiled: cache folder of compilers, relative to the folder that workers share; "" for
            their own.
    """

    subject: TrainedModel
    settings: TimingSettings
    place: float | None = None
    compiled: str = ""
