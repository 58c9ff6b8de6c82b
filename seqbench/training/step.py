"""One optimizer step: loss, clipping, schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.training.losses import loss_of
from seqbench.training.model import forward_of
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Batch


class Step:
    """One optimizer step: loss, gradient clipping, schedule; ``count`` steps have been made.

    With ``precision`` bf16 the model runs under autocast; weights, loss and optimizer state stay
    in fp32.
    """

    def __init__(
        self,
        model: nn.Module,
        splits: PreparedSplits,
        settings: Mapping[str, Any],
        steps_per_epoch: int,
    ):
        self.model = model
        self.loss = loss_of(splits, settings.get("loss"))
        self.forward = forward_of(model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(self.parameters, settings["optimizer"])
        self.clip_norm = settings["clip_norm"]
        self.autocast = settings.get("precision", "fp32") == "bf16"
        self.schedule = _schedule(self.optimizer, settings, steps_per_epoch)
        self.count = 0

    def __call__(self, batch: Batch) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self._answer(batch), batch.targets, batch.weights)
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
