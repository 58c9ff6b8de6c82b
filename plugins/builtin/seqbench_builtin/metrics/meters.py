"""Objects that receive every batch of a split and compute one number."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from seqbench import Task


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
