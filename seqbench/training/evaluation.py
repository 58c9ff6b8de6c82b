"""Evaluation: one pass over a split, from which all figures are computed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.training.carried import call_with_state
from seqbench.training.losses import Loss, check_shape
from seqbench.training.model import forward_of
from seqbench.training.split import Split
from seqbench.types import Task

#: Sequences that are answered before meters see them; those of one length in one batch.
EVALUATION_BATCH = 1000

#: Sequences of unequal length in one batch: similar ones, of those above.
PADDED_BATCH = 100

#: A loss is computed from at most about this many numbers at once.
LOSS_PART = 2**20


@dataclass(frozen=True)
class Answered:
    """The answers to consecutive sequences of a split, in the order of the dataset, without
    padding. With targets at each step, each step is a row, otherwise each sequence.

    Shared by all meters, so the tensors must not be modified. They are on the model's device.

    Args:
        answers: (rows, outputs).
        targets: (rows,) int64 for a label, else (rows, outputs).
        weights: (rows,); None if all are 1.
        lengths: number of steps of each sequence, (sequences,) int64, on the CPU.
        test_set: the number of the test set, if there are several.
        headline: whether the figure in tables depends on them.
    """

    answers: Tensor
    targets: Tensor
    weights: Tensor | None
    lengths: Tensor
    test_set: int = 0
    headline: bool = True

    @property
    def total(self) -> float:
        """The sum of the weights, in double precision, which not every device supports."""
        if self.weights is None:
            return float(len(self.answers))
        return self.weights.cpu().double().sum().item()

    def counted(self) -> Answered:
        """Without the rows of weight 0. ``lengths`` do not belong to what is left."""
        if self.weights is None:
            return self
        counted = self.weights > 0
        return dataclasses.replace(
            self,
            answers=self.answers[counted],
            targets=self.targets[counted],
            weights=self.weights[counted],
        )


class Meter(Protocol):
    """Computes a figure from all answers of a pass."""

    def update(self, answered: Answered) -> None:
        """Add the answers to some sequences."""
        ...


class Figure(Meter, Protocol):
    """A meter of one number."""

    @property
    def value(self) -> float:
        """The figure over all answers so far."""
        ...

    @property
    def counts(self) -> bool:
        """Whether any target counted so far."""
        ...


AnyFigure = TypeVar("AnyFigure", bound=Figure)


class TaskMetric:
    """The task's own metric: accuracy, or mean squared error. Several labels at once are right if
    all of them are.

    NaN if any answer is not finite, since ``argmax`` would turn it into a label.
    """

    def __init__(self, task: Task):
        self._type = task.target_type
        self._total, self._count = 0.0, 0.0

    def update(self, answered: Answered) -> None:
        """See :class:`Meter`."""
        counted = answered.counted()
        answers, targets, weights = counted.answers, counted.targets, counted.weights
        if not torch.isfinite(answers).all():
            self._total = math.nan
        elif weights is None:
            self._total += self._scores(answers, targets).sum().item()
        else:
            scores = self._scores(answers, targets).cpu().double()
            scores = scores.sum(-1) if scores.dim() == 2 else scores
            self._total += (scores * weights.cpu().double()).sum().item()
        numbers = answers.shape[1] if self._type == "value" else 1
        self._count += counted.total * numbers

    def _scores(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Of each row whether it is right, (rows,), or its squared errors, (rows, outputs)."""
        if self._type == "value":  # in double precision, which not every device supports
            return (answers.cpu().double() - targets.cpu().double()).square()
        if self._type == "labels":
            return ((answers > 0) == targets.bool()).all(-1)
        return answers.argmax(-1) == targets

    @property
    def counts(self) -> bool:
        """Whether any target counted so far."""
        return self._count > 0

    @property
    def value(self) -> float:
        """The metric over all answers so far; NaN if none counts."""
        return self._total / self._count if self._count else math.nan


class MeanLoss:
    """The mean of the training loss over all sequences (or steps); a :class:`Meter`.

    In small parts, since all answers to a batch may take much memory. Parts are added in double
    precision.
    """

    def __init__(self, loss: Loss):
        self._loss = loss
        self._total, self._count = 0.0, 0.0

    def update(self, answered: Answered) -> None:
        """See :class:`Meter`."""
        counted = answered.counted()
        rows = max(1, LOSS_PART // counted.answers.shape[-1])
        for start in range(0, len(counted.answers), rows):
            part = slice(start, start + rows)
            weights = None if counted.weights is None else counted.weights[part]
            answers, targets = counted.answers[part], counted.targets[part]
            loss = self._loss(answers, targets, weights).item()
            count = self._loss.rows(targets, weights).cpu().double().sum().item()
            self._total += loss * count
            self._count += count

    @property
    def counts(self) -> bool:
        """Whether any target counted so far."""
        return bool(self._count)

    @property
    def value(self) -> float:
        """The mean loss over all answers so far; NaN if none counts."""
        return self._total / self._count if self._count else math.nan


class BySet(Generic[AnyFigure]):
    """A figure for each test set of a split, and the one in tables; a :class:`Figure`.

    Without several test sets it is one figure of the whole split.
    """

    def __init__(self, split: Split, make: Callable[[], AnyFigure]):
        self.figures = [make() for _ in split.sets or [None]]
        self._chosen = [number for number, _, _, headline in sets_of(split) if headline]

    def update(self, answered: Answered) -> None:
        """See :class:`Meter`."""
        self.figures[answered.test_set].update(answered)

    @property
    def counts(self) -> bool:
        """Whether any target counted so far."""
        return any(figure.counts for figure in self.figures)

    @property
    def value(self) -> float:
        """That of the test set that is the headline, or the mean over all."""
        return math.fsum(self.figures[n].value for n in self._chosen) / len(self._chosen)


def evaluate(
    model: nn.Module,
    split: Split,
    *,
    device: torch.device,
    make: Callable[[], Figure] | None = None,
    meters: Sequence[Meter] = (),
) -> float:
    """Evaluate a model on a split in evaluation mode and return one figure.

    Args:
        model: on ``device``; its mode is restored.
        split: on any device.
        make: makes the figure; by default the task's own metric.
        meters: further figures to compute in the same pass.

    Raises:
        PluginError: the model's answer has the wrong shape, or it changes its input.
    """
    cold = partial(_answers, model, split, device)
    version = split.inputs._version
    figure = BySet(split, make or (lambda: TaskMetric(split.task)))
    training = model.training
    model.eval()
    for number, start, end, headline in sets_of(split):
        answer = _carried(model, split, device) if split.carried else cold
        for first in range(start, end, EVALUATION_BATCH):
            last = min(first + EVALUATION_BATCH, end)
            rows = split.part(first, last)
            with torch.inference_mode():
                answers = answer(first, last)
                weights = None if rows.weights is None else rows.weights.to(device)
                answered = Answered(
                    answers, rows.targets.to(device), weights, rows.lengths,
                    test_set=number, headline=headline,
                )  # fmt: skip
                figure.update(answered)
            for meter in meters:
                meter.update(answered)
    model.train(training)
    if split.inputs._version != version:
        raise PluginError("the model changes its input in place, which is the dataset's own")
    return figure.value


def sets_of(split: Split) -> Iterator[tuple[int, int, int, bool]]:
    """Of each test set its number, its first sequence and its end, and whether it counts for the
    figure in tables.
    """
    if not split.sets:
        yield 0, 0, len(split), True
        return
    start = 0
    for number, one in enumerate(split.sets):
        yield number, start, start + one.count, split.headline in ("", one.name)
        start += one.count


def _carried(model: nn.Module, split: Split, device: torch.device) -> Callable[[int, int], Tensor]:
    """Like :func:`_answers`, for calls in the order of the split: each sequence begins with the
    state at the end of the one before.
    """
    call, state = call_with_state(model), None

    def answers(first: int, last: int) -> Tensor:
        nonlocal state
        found = []
        for row in range(first, last):
            batch = split.batch(torch.tensor([row])).to(device)
            answer, state = call(batch.inputs, state)
            check_shape(answer, batch.targets, split.task)
            found.append(answer[0])
        return torch.cat(found)

    return answers


def _answers(model: nn.Module, split: Split, device: torch.device, first: int, last: int) -> Tensor:
    """The answers to consecutive sequences, as :class:`Answered` has them."""
    task = split.task
    if split.offsets is None:
        part = slice(first, last)
        answers: Tensor = model(split.inputs[part].to(device))
        check_shape(answers, split.targets[part], task)
        return answers.flatten(0, 1) if task.per_step else answers
    forward, lengths = forward_of(model), split.lengths[first:last]
    starts = lengths.cumsum(0) - lengths  # of the rows of each sequence
    count = int(lengths.sum()) if task.per_step else last - first
    whole: Tensor | None = None
    for rows in _similar(split, first, last):
        batch = split.batch(rows).to(device)
        answers = forward(batch)
        check_shape(answers, batch.targets, task)
        if whole is None:
            whole = answers.new_empty(count, answers.shape[-1])
        if not task.per_step:
            whole[rows - first] = answers
            continue
        steps = torch.arange(answers.shape[1])
        real = steps < lengths[rows - first][:, None]
        places = (starts[rows - first][:, None] + steps)[real]
        whole[places.to(device)] = answers[real.to(device)]
    assert whole is not None
    return whole


def _similar(split: Split, first: int, last: int) -> list[Tensor]:
    """The sequences from ``first`` to before ``last`` in batches of similar length, or of one."""
    lengths, order = torch.sort(split.lengths[first:last], stable=True)
    rows = order + first
    if not split.one_length:
        return list(torch.split(rows, PADDED_BATCH))
    counts = torch.unique_consecutive(lengths, return_counts=True)[1]
    return list(torch.split(rows, counts.tolist()))
