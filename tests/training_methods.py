"""A loss, an optimizer and a schedule as a plugin would provide them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqbench import Task


def focal(task: Task, gamma: float) -> Any:
    """Lin et al. 2017: cross-entropy, less of what is easy."""

    def loss(answers: Tensor, targets: Tensor) -> Tensor:
        losses = nn.functional.cross_entropy(answers, targets, reduction="none")
        return (1 - torch.exp(-losses)) ** gamma * losses

    return loss


def squares(task: Task) -> Any:
    """Of each output."""
    return lambda answers, targets: (answers - targets) ** 2


def mean(task: Task) -> Any:
    return lambda answers, targets: ((answers - targets) ** 2).mean()


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2."""

    def __init__(self, parameters: Any, lr: float, betas: Any, weight_decay: float):
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                update = average.lerp(p.grad, 1 - first).sign_()
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(group["lr"] * update)
                average.lerp_(p.grad, 1 - second)


class Trapezoid(torch.optim.lr_scheduler.LRScheduler):
    """Constant, then falling along a line."""

    def __init__(self, optimizer: Any, *, steps: int, steps_per_epoch: int, flat: float):
        self.steps, self.per_epoch, self.flat = steps, steps_per_epoch, flat
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:  # type: ignore[override]
        left = (self.steps - self.last_epoch) / (self.steps * (1 - self.flat))
        return [float(base) * max(min(1.0, left), 0.0) for base in self.base_lrs]


def anything(*arguments: Any, **params: Any) -> Any:
    return "anything"
