"""Objects that receive every batch of a split and compute one number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from seqbench import Task

#: A larger exponent overflows.
LARGEST_LOG = 700.0


class Mean:
    """The weighted mean of :meth:`of` over all rows, in double precision."""

    def __init__(self, task: Task) -> None:
        self.total, self.count = 0.0, 0.0

    def update(self, answers: Tensor, targets: Tensor, weights: Tensor) -> None:
        figures = self.of(answers, targets).double()  # (rows,) or (rows, outputs)
        rows = weights.double().reshape(-1, *[1] * (figures.dim() - 1)).expand_as(figures)
        self.total += (figures * rows).sum().item()
        self.count += rows.sum().item()

    def compute(self) -> float:
        return self.total / self.count

    def of(self, answers: Tensor, targets: Tensor) -> Tensor:
        raise NotImplementedError


class CrossEntropy(Mean):
    def of(self, answers: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(answers.double(), targets, reduction="none")


class BitsPerToken(CrossEntropy):
    def compute(self) -> float:
        return super().compute() / math.log(2)


class Perplexity(CrossEntropy):
    def compute(self) -> float:
        return math.exp(min(super().compute(), LARGEST_LOG))


class TopK(Mean):
    """Among classes with equal scores, the first ones count."""

    def __init__(self, task: Task, k: int) -> None:
        super().__init__(task)
        self.k = min(k, task.output_size)

    def of(self, answers: Tensor, targets: Tensor) -> Tensor:
        ranked = answers.argsort(dim=1, descending=True, stable=True)
        return (ranked[:, : self.k] == targets[:, None]).any(dim=1)


class MeanAbsoluteError(Mean):
    def of(self, answers: Tensor, targets: Tensor) -> Tensor:
        return (answers.double() - targets.double()).abs()


class RootMeanSquaredError(Mean):
    def of(self, answers: Tensor, targets: Tensor) -> Tensor:
        return (answers.double() - targets.double()).square()

    def compute(self) -> float:
        return math.sqrt(super().compute())


class Mase(MeanAbsoluteError):
    """Mean absolute scaled error (Hyndman and Koehler 2006, Another look at measures of forecast
    accuracy): the mean absolute error ÷ that of the seasonal naive forecast, which repeats the
    target of ``period`` steps before, on the training split.

    With a value per step, the steps of each training sequence follow each other. With a value per
    sequence, its training sequences must: as windows of a series do that begin a step apart.
    """

    def __init__(self, task: Task, period: int, train_targets: Tensor | Sequence[Tensor]) -> None:
        super().__init__(task)
        errors = torch.cat([self._naive(one, period) for one in _series(task, train_targets)])
        errors = errors[~errors.isnan()]
        if not len(errors):
            raise ValueError(f"no two training targets are {period} steps apart")
        self.scale = errors.mean().item()
        if not self.scale:
            raise ValueError(f"all training targets that are {period} steps apart are equal")

    def _naive(self, series: Tensor, period: int) -> Tensor:
        return (series[period:] - series[:-period]).double().abs().flatten()

    def compute(self) -> float:
        return super().compute() / self.scale


def _series(task: Task, targets: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """The training targets as series, each (time, outputs)."""
    return list(targets) if task.per_step else [torch.as_tensor(targets)]


class MacroF1:
    """Classes that neither occur nor are predicted are left out."""

    def __init__(self, task: Task) -> None:
        self.several = task.target_type == "labels"
        self.counts = torch.zeros(3, task.output_size, dtype=torch.float64)

    def update(self, answers: Tensor, targets: Tensor, weights: Tensor) -> None:
        predicted, true = _hits(answers, targets, self.several)
        weighted = weights.double()[:, None]
        self.counts += torch.stack(
            [((one * weighted).sum(0)) for one in (predicted & true, predicted, true)]
        )

    def compute(self) -> float:
        both, predicted, true = self.counts
        known = predicted + true > 0
        found: float = (2 * both / (predicted + true))[known].mean().item()
        return found


class Auroc:
    """The area under the ROC curve: the probability that a target of the class has a higher score
    than one of another class, and half of that of equal scores (Hanley and McNeil 1982).

    The score of a class is its probability (softmax); of two classes their areas are equal. Classes
    that all targets have, or none, are left out.
    """

    def __init__(self, task: Task) -> None:
        self.several = task.target_type == "labels"
        self.parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def update(self, answers: Tensor, targets: Tensor, weights: Tensor) -> None:
        scores = answers.double() if self.several else answers.double().softmax(1)
        self.parts.append((scores, _hits(answers, targets, self.several)[1], weights.double()))

    def compute(self) -> float:
        scores, true, weights = (torch.cat(part) for part in zip(*self.parts, strict=True))
        columns = range(scores.shape[1])
        areas = [_area(scores[:, one], true[:, one], weights) for one in columns]
        known = [area for area in areas if area is not None]
        if not known:
            raise ValueError("AUROC is not defined: all targets are of one class")
        return math.fsum(known) / len(known)


def _hits(answers: Tensor, targets: Tensor, several: bool) -> tuple[Tensor, Tensor]:
    """Whether each class was predicted, and whether it is right: (rows, classes) of booleans."""
    if several:
        return answers > 0, targets.bool()
    classes = answers.shape[1]
    predicted = functional.one_hot(answers.argmax(1), classes)
    return predicted.bool(), functional.one_hot(targets, classes).bool()


def _area(scores: Tensor, true: Tensor, weights: Tensor) -> float | None:
    """The area under the ROC curve; None if it is not defined."""
    levels, level = torch.unique(scores, return_inverse=True)
    empty = torch.zeros(len(levels), dtype=torch.float64)
    right, wrong = (empty.index_add(0, level[rows], weights[rows]) for rows in (true, ~true))
    if not right.sum() or not wrong.sum():
        return None
    below = wrong.cumsum(0) - wrong
    return ((right * (below + wrong / 2)).sum() / (right.sum() * wrong.sum())).item()


class ExactMatch:
    """A sequence is right if all its steps are that count."""

    def __init__(self, task: Task) -> None:
        self.several = task.target_type == "labels"
        self.right, self.count = 0, 0

    def update(self, answers: Tensor, targets: Tensor, weights: Tensor, sequences: Tensor) -> None:
        predicted, true = _hits(answers, targets, self.several)
        step_right = (predicted == true).all(1).long()
        own = torch.unique(sequences, return_inverse=True)[1]
        steps = torch.ones(int(own.max()) + 1, dtype=torch.long)
        self.right += int(steps.scatter_reduce(0, own, step_right, "amin").sum())
        self.count += len(steps)

    def compute(self) -> float:
        return self.right / self.count
