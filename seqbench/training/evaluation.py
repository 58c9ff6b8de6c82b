"""Evaluation: one pass over a split, from which all metrics are computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.training.step import check_shape, loss_of
from seqbench.types import Task

EVALUATION_BATCH = 1000

#: A loss is computed from at most about this many numbers at once.
LOSS_PART = 2**20


class Meter(Protocol):
    """Computes a figure from all answers of a pass."""

    def update(self, answers: Tensor, targets: Tensor) -> None:
        """Add the answers to one batch.

        Args:
            answers, targets: shaped as :class:`seqbench.Task` says, on the model's device; shared
                by all meters, so they must not be modified.
        """
        ...


class DecidingFigure:
    """The task's own metric: accuracy, or mean squared error.

    NaN if any answer is not finite, since ``argmax`` would turn it into a label.
    """

    def __init__(self, task: Task):
        self._values = task.target == "value"
        self._total, self._count = 0.0, 0

    def update(self, answers: Tensor, targets: Tensor) -> None:
        """See :class:`Meter`."""
        if not torch.isfinite(answers).all():
            self._total = math.nan
        elif self._values:
            # In double precision, which not every device supports.
            self._total += (answers.cpu().double() - targets.cpu().double()).square().sum().item()
        else:
            self._total += (answers.argmax(-1) == targets).sum().item()
        self._count += targets.numel()

    @property
    def value(self) -> float:
        """The metric over all batches so far."""
        return self._total / self._count


class MeanLoss:
    """The mean of the training loss over all sequences (or steps); a :class:`Meter`.

    In small parts, since all answers to a batch may take much memory. Parts are added in double
    precision.
    """

    def __init__(self, task: Task):
        self._task = task
        self._total, self._count = 0.0, 0

    def update(self, answers: Tensor, targets: Tensor) -> None:
        """See :class:`Meter`."""
        answers = answers.flatten(0, -2)
        targets = targets if self._task.target == "value" else targets.flatten()
        rows = max(1, LOSS_PART // answers.shape[-1])
        pairs = zip(torch.split(answers, rows), torch.split(targets, rows), strict=True)
        for part, wanted in pairs:
            self._total += loss_of(part, wanted, self._task).item() * len(wanted)
        self._count += len(targets)

    @property
    def value(self) -> float:
        """The mean loss over all batches so far."""
        return self._total / self._count


def evaluate(
    model: nn.Module,
    split: tuple[Tensor, Tensor],
    *,
    task: Task,
    device: torch.device,
    meters: Sequence[Meter] = (),
) -> float:
    """Evaluate a model on a split in evaluation mode and return the task's own metric.

    Args:
        model: on ``device``; its mode is restored.
        split: inputs and targets, shaped as :class:`seqbench.Task` says, on any device.
        meters: further figures to compute in the same pass.

    Raises:
        PluginError: the model's answer has the wrong shape, or it changes its input.
    """
    inputs, targets = split
    version = inputs._version
    figure = DecidingFigure(task)
    training = model.training
    model.eval()
    for start in range(0, len(inputs), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        expected = targets[part].to(device)
        with torch.inference_mode():
            answers = model(inputs[part].to(device))
            check_shape(answers, expected, task)
            figure.update(answers, expected)
        for meter in meters:
            meter.update(answers, expected)
    model.train(training)
    if inputs._version != version:
        raise PluginError("the model changes its input in place, which is the dataset's own")
    return figure.value
