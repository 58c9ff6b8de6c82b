"""One optimizer step: loss, clipping, schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqbench.errors import PluginError
from seqbench.training.model import forward_of
from seqbench.training.split import Batch
from seqbench.types import Task


def loss_of(answer: Tensor, targets: Tensor, task: Task, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy for a label, binary cross-entropy for several labels, mean squared error for
    values: the mean over all targets, weighted if there are ``weights``; a scalar.

    Args:
        answer, targets: shaped as :class:`seqbench.Task` says.
        weights: as ``targets`` without outputs. If all are 0, so is the loss.

    Raises:
        PluginError: the answer's shape does not match the task.
    """
    check_shape(answer, targets, task)
    answer = answer.flatten(0, -2)
    targets = targets.flatten() if task.target_type == "label" else targets.flatten(0, -2)
    if weights is None:
        return _loss(answer, targets, task, reduction="mean")
    losses = _loss(answer, targets, task, reduction="none")  # (rows,) or (rows, outputs)
    losses = losses if losses.dim() == 1 else losses.mean(-1)
    weights = weights.flatten()
    total = weights.sum()
    return (losses * weights).sum() / torch.where(total > 0, total, 1)


def _loss(answer: Tensor, targets: Tensor, task: Task, *, reduction: str) -> Tensor:
    if task.target_type == "value":
        return functional.mse_loss(answer, targets, reduction=reduction)
    if task.target_type == "labels":
        floats = targets.to(answer.dtype)
        return functional.binary_cross_entropy_with_logits(answer, floats, reduction=reduction)
    return functional.cross_entropy(answer, targets, reduction=reduction)


def check_shape(answer: Tensor, targets: Tensor, task: Task) -> None:
    """Raise PluginError if the answer's shape does not match the targets and the task."""
    label = task.target_type == "label"
    expected = (*targets.shape, task.output_size) if label else targets.shape
    if tuple(answer.shape) != tuple(expected):
        raise PluginError(
            f"the model returned shape {tuple(answer.shape)}, expected {tuple(expected)}"
        )


class Step:
    """One optimizer step, with gradient clipping and schedule; ``count`` steps have been made.

    With ``precision`` bf16 the model runs under autocast; weights, loss and optimizer state stay
    in fp32.
    """

    def __init__(
        self, model: nn.Module, task: Task, settings: Mapping[str, Any], steps_per_epoch: int
    ):
        self.model, self.task = model, task
        self.forward = forward_of(model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(self.parameters, settings["optimizer"])
        self.clip_norm = settings["clip_norm"]
        self.autocast = settings.get("precision", "fp32") == "bf16"
        self.schedule = _schedule(self.optimizer, settings, steps_per_epoch)
        self.count = 0

    def __call__(self, batch: Batch) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = loss_of(self._answer(batch), batch.targets, self.task, batch.weights)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        self.count += 1
        return loss.detach()

    def _answer(self, batch: Batch) -> Tensor:
        if not self.autocast:
            return self.forward(batch)
        with torch.autocast(batch.inputs.device.type, torch.bfloat16):
            answer = self.forward(batch)
        return answer.float()


def make_optimizer(
    parameters: list[nn.Parameter], choice: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """The torch optimizer ``choice["name"]`` (case-insensitive) with ``choice["params"]``."""
    by_name = {name.lower(): name for name in dir(torch.optim)}
    kind = getattr(torch.optim, by_name[choice["name"]])
    optimizer: torch.optim.Optimizer = kind(parameters, **choice["params"])
    return optimizer


def _schedule(
    optimizer: torch.optim.Optimizer, settings: Mapping[str, Any], steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler | None:
    """The learning rate schedule, stepped once per optimizer step."""
    if settings["schedule"] is None:
        return None
    name, params = settings["schedule"]["name"], settings["schedule"]["params"]
    schedules = torch.optim.lr_scheduler
    steps = steps_per_epoch * settings["epochs"]
    if name == "cosine":
        return schedules.CosineAnnealingLR(optimizer, T_max=steps, **params)
    if name == "one_cycle":
        return schedules.OneCycleLR(optimizer, total_steps=steps, **params)
    if name == "step":
        every = params["step_size"] * steps_per_epoch
        return schedules.StepLR(optimizer, step_size=every, gamma=params["gamma"])
    if name == "exponential":
        return schedules.StepLR(optimizer, step_size=steps_per_epoch, gamma=params["gamma"])
    raise ValueError(f"unknown schedule {name!r}")
