"""The quality of a model over a whole split."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqbench.training.step import check_shape
from seqbench.types import Task

EVALUATION_BATCH = 1000


def evaluate(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, task: Task, device: torch.device
) -> float:
    """The task's metric over a whole split: share of right labels, or mean squared error.

    NaN if any answer is not finite: ``argmax`` would make a label of it.

    Args:
        inputs, targets: shaped as :class:`seqbench.Task` says, on any device.
    """
    training = model.training
    model.eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(inputs), EVALUATION_BATCH):
            x = inputs[start : start + EVALUATION_BATCH].to(device)
            y = targets[start : start + EVALUATION_BATCH].to(device)
            answer = model(x)
            check_shape(answer, y, task)
            if not torch.isfinite(answer).all():
                return math.nan
            if task.target == "value":
                # In double precision, which not every device has.
                total += (answer.cpu().double() - y.cpu().double()).square().sum().item()
            else:
                total += (answer.argmax(-1) == y).sum().item()
            count += y.numel()
    model.train(training)
    return total / count
