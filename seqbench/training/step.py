"""One optimizer step: loss, clipping, schedule, average of the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.training.average import average_of
from seqbench.training.carried import Carrying
from seqbench.training.losses import loss_of
from seqbench.training.model import forward_of
from seqbench.training.optimizers import make_optimizer
from seqbench.training.own_step import own_step_of
from seqbench.training.periods import Periods
from seqbench.training.prepared import PreparedSplits
from seqbench.training.schedules import make_schedule
from seqbench.training.split import Batch

#: Steps of an epoch as schedules count them in measurements: a rate stays near its start.
MEASURED_EPOCH = 10**6


class Step:
    """One optimizer step: loss, gradient clipping, schedule; ``count`` steps have been made.

    With ``precision`` bf16 the model runs under autocast; weights, loss and optimizer state stay
    in fp32. With ``ema``, ``average`` holds the running average of the model's weights. The loss
    for the gradients is ``loss`` of the model's answer, or what the model's own ``training_step``
    returns.
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
        self.carrying = Carrying(model) if settings.get("carry_state") else None
        self.forward = self.carrying or forward_of(model)
        self.own_step = own_step_of(model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(
            model, settings["optimizer"], dict(settings.get("groups", ()))
        )
        self.clip_norm = settings["clip_norm"]
        self.autocast = settings.get("precision", "fp32") == "bf16"
        self._total = Periods.of(settings, steps_per_epoch).total
        self.schedule = make_schedule(
            self.optimizer, settings["schedule"], epoch=steps_per_epoch, total=self._total
        )
        self.average = average_of(model, settings.get("ema"))
        self.count = 0

    @classmethod
    def for_measuring(
        cls, model: nn.Module, splits: PreparedSplits, settings: Mapping[str, Any]
    ) -> Step:
        """The steps of a training to measure: their number may exceed that of the training, which
        does not end their schedule.
        """
        return cls(model, splits, {"epochs": 5, **settings, "steps": None}, MEASURED_EPOCH)

    def __call__(self, *batches: Batch) -> Tensor:
        """One step on some batches, with the gradients of one batch of all their sequences.

        Returns:
            the mean loss.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward(batches)
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.optimizer.step()
        if self.count < self._total:  # torch raises an error after the end of some schedules
            self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.count += 1
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Optimizer, schedule, average and number of steps, as plain data and tensors."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "carried": None if self.carrying is None else self.carrying.state,
            "average": None if self.average is None else self.average.state_dict(),
            "count": self.count,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load what :meth:`state_dict` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.carrying is not None:
            self.carrying.state = state["carried"]
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.count = state["count"]

    def _backward(self, batches: Sequence[Batch]) -> Tensor:
        """Compute the gradients; returns the mean loss."""
        if len(batches) == 1:
            loss = self._loss(batches[0])
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()
        totals = [self.total_of(batch) for batch in batches]
        counted = sum(totals)
        if isinstance(counted, Tensor):  # 0 if all targets have weight 0, and then so are losses
            counted = torch.where(counted > 0, counted, 1)
        whole = torch.zeros((), device=batches[0].inputs.device)
        for batch, total in zip(batches, totals, strict=True):
            loss = self._loss(batch) * (total / counted)
            loss.backward()  # type: ignore[no-untyped-call]
            whole += loss.detach()
        return whole

    def total_of(self, batch: Batch) -> Tensor | int:
        """How much a batch counts among several."""
        if self.own_step is None:
            return self.loss.total(batch)
        return batch.total(self.loss.task)  # the weights of classes belong to the suite's loss

    def _loss(self, batch: Batch) -> Tensor:
        if self.own_step is None:
            return self.loss(self._answer(batch), batch.targets, batch.weights)
        if not self.autocast:
            return self.own_step(batch)
        with torch.autocast(batch.inputs.device.type, torch.bfloat16):
            return self.own_step(batch).float()

    def _answer(self, batch: Batch) -> Tensor:
        if not self.autocast:
            return self.forward(batch)
        with torch.autocast(batch.inputs.device.type, torch.bfloat16):
            answer = self.forward(batch)
        return answer.float()
