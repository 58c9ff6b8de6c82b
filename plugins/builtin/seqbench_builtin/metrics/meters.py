"""Objects that receive every batch of a split and compute one number."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from seqbench import Task

#: Of windows of a series, at least this fraction begin a step after the one before; others follow
#: windows that were left out, for example because a value is missing.
LEAST_ADJACENT = 0.5

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


class Mase:
    """Mean absolute scaled error (Hyndman and Koehler 2006, Another look at measures of forecast
    accuracy): the mean absolute error ÷ that of the seasonal naive forecast, which repeats the
    target of ``period`` steps before, on the training split.

    With a value per step, each training sequence is a series. With a value per sequence, the
    sequences are windows of a series that begin a step apart, which is checked if they have several
    targets: the next steps of the series. All series have one scale. With ``outputs`` of
    ``variables``, each output is a series of its own with its own scale, and the figure is the mean
    over the outputs.
    """

    def __init__(
        self, task: Task, period: int, outputs: str, train_targets: Tensor | Sequence[Tensor]
    ) -> None:
        alone = task.per_step or outputs == "variables" or task.output_size == 1
        series = list(train_targets) if task.per_step else [torch.as_tensor(train_targets)]
        if not alone:
            series = _of_windows(series[0])
        errors = torch.cat([(one[period:] - one[:-period]).double().abs() for one in series])
        known = ~errors.isnan()
        if not bool(known.any(0).all()):
            raise ValueError(f"no two training targets are {period} steps apart")
        self.scale = errors.nan_to_num().sum(0) / known.sum(0)  # (outputs,), or (1,)
        if not bool(self.scale.all()):
            raise ValueError(f"all training targets that are {period} steps apart are equal")
        self.total = torch.zeros(task.output_size, dtype=torch.float64)
        self.count = 0.0

    def update(self, answers: Tensor, targets: Tensor, weights: Tensor) -> None:
        errors = (answers.double() - targets.double()).abs()
        self.total += (errors * weights.double()[:, None]).sum(0)
        self.count += weights.double().sum().item()

    def compute(self) -> float:
        found: float = (self.total / self.count / self.scale).mean().item()
        return found


def _of_windows(targets: Tensor) -> list[Tensor]:
    """The series that windows of targets are of, each (time, 1).

    Args:
        targets: (windows, steps), each a step after the one before. Where windows are left out, a
            new series begins.
    """
    follows = (targets[1:, :-1] == targets[:-1, 1:]).all(1)
    if not len(follows) or follows.double().mean().item() < LEAST_ADJACENT:
        raise ValueError(
            "the training targets are not windows of one series, each a step after the one before, "
            "so the error of the naive forecast cannot be found from them"
        )
    starts = [0, *(torch.nonzero(~follows).flatten() + 1).tolist(), len(targets)]
    return [
        torch.cat([targets[first:end, 0], targets[end - 1, 1:]])[:, None]
        for first, end in itertools.pairwise(starts)
    ]


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

    The score of a class is the logarithm of its odds against all others, which has the order of its
    probability and, unlike that, does not round to 1; of two classes the areas are equal. Classes
    that all targets have, or none, are left out.
    """

    def __init__(self, task: Task) -> None:
        self.several = task.target_type == "labels"
        self.parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def update(self, answers: Tensor, targets: Tensor, weights: Tensor) -> None:
        scores = answers.double() if self.several else _log_odds(answers.double())
        self.parts.append((scores, _hits(answers, targets, self.several)[1], weights.double()))

    def compute(self) -> float:
        scores, true, weights = (torch.cat(part) for part in zip(*self.parts, strict=True))
        columns = range(scores.shape[1])
        areas = [_area(scores[:, one], true[:, one], weights) for one in columns]
        known = [area for area in areas if area is not None]
        if not known:
            raise ValueError("AUROC is not defined: all targets are of one class")
        return math.fsum(known) / len(known)


def _log_odds(answers: Tensor) -> Tensor:
    """Of each class the logarithm of its probability ÷ that of all others: (rows, classes)."""
    others = answers.logsumexp(1, keepdim=True) + (-answers.softmax(1)).log1p()
    # Where a probability is near 1, the rest is lost in rounding.
    most = answers.argmax(1, keepdim=True)
    rest = answers.scatter(1, most, -math.inf).logsumexp(1, keepdim=True)
    return answers - others.scatter(1, most, rest)


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
