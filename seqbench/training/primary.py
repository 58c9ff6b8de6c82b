"""The primary metric: it decides on the best epoch, and its figure stands first in tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqbench.errors import DataError, reason_of
from seqbench.plan.cases import Metric
from seqbench.plugins.provenance import check_unchanged
from seqbench.quantities import own_metrics
from seqbench.training.evaluation import Answered, Figure, TaskMetric, sets_of
from seqbench.training.plugin_metric import PluginMeter
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Rows, Split
from seqbench.types import Task

#: A metric is tried on splits with at most this many numbers to answer.
MOST_TRIED = 20_000_000


@dataclass(frozen=True)
class Primary:
    """The primary metric of a training.

    Args:
        name: as in records.
        make: a new figure, for a split or a part of it.
        about: how to show it; None for the task's own.
    """

    name: str
    higher_is_better: bool
    make: Callable[[], Figure]
    about: Mapping[str, Any] | None = None

    @property
    def is_own(self) -> bool:
        """Whether it is the task's own: accuracy, or mean squared error."""
        return self.about is None

    @property
    def fields(self) -> dict[str, Any]:
        """What a trial records of it."""
        return {"metric": self.name, "metric_about": self.about}


def own_metric(task: Task) -> Primary:
    """The task's own metric."""
    about = own_metrics()[task.target]
    return Primary(about.name, about.higher_is_better, lambda: TaskMetric(task))


def primary_of(splits: PreparedSplits, metric: Metric | None) -> Primary:
    """The primary metric of a case.

    Args:
        metric: that of the suite; None for the task's own.

    Raises:
        DataError: it does not support the task's targets.
        PluginError: its package has changed since the run was planned.
        Exception: it cannot be computed from this training split, or violates its contract (see
            :class:`.PluginMeter`).
    """
    task = splits.task
    if metric is None:
        return own_metric(task)
    if task.target not in metric.targets:
        raise DataError(metric.misfit(task.target))
    check_unchanged(metric.choice)

    def make() -> Figure:
        return _Finite(PluginMeter(metric.choice, task, splits.train))

    # One that cannot be computed here fails before any time is spent on the training.
    for name, split in (("validation", splits.validation), ("test", splits.test)):
        if split is not None:
            _try(metric, make, split, name)
    return Primary(metric.label, metric.higher_is_better, make, metric.about)


def _try(metric: Metric, make: Callable[[], Figure], split: Split, name: str) -> None:
    """Compute a metric for random and, if it is not defined for these, for perfect answers to a
    split, or to each of its test sets, unless that would take long.

    Raises:
        DataError: it is not defined for the targets, for example since one class is missing.
    """
    task, draw = split.task, torch.Generator().manual_seed(0)
    for one, start, end, _ in sets_of(split):
        rows = split.part(start, end)
        shape = len(rows.targets), task.output_size
        if math.prod(shape) > MOST_TRIED:
            continue
        random = torch.randn(shape, generator=draw)
        perfect = rows.targets.float()
        if task.target_type == "label":
            classes = torch.arange(task.output_size)
            perfect = (rows.targets[:, None] == classes).float()
        problems = [_problem(make(), answers, rows) for answers in (random, perfect)]
        if all(problems):
            where = f"test set {split.sets[one].name!r}" if split.sets else f"{name} split"
            what = f"primary_metric: {metric.choice.name} cannot be computed on the {where}"
            raise DataError(f"{what}: {problems[0]}")


def _problem(figure: Figure, answers: Tensor, rows: Rows) -> str:
    """Why a figure cannot be computed, or ``""``."""
    try:
        figure.update(Answered(answers, rows.targets, rows.weights, rows.lengths))
        _ = figure.value
    except Exception as error:
        return reason_of(error)
    return ""


class _Finite:
    """A plugin's metric that is NaN, without being computed, if any answer is not finite."""

    def __init__(self, meter: PluginMeter):
        self._meter = meter
        self._finite = True

    def update(self, answered: Answered) -> None:
        """See :class:`seqbench.training.evaluation.Meter`."""
        self._finite = self._finite and bool(torch.isfinite(answered.counted().answers).all())
        if self._finite:
            self._meter.update(answered)

    @property
    def counts(self) -> bool:
        return self._meter.counts or not self._finite

    @property
    def value(self) -> float:
        return self._meter.value if self._finite else math.nan
