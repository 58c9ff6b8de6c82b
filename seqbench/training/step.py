"""One optimizer step: loss, clipping, schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import UsageError
from seqbench.training.carried import Carrying
from seqbench.training.losses import loss_of
from seqbench.training.model import forward_of
from seqbench.training.periods import Periods
from seqbench.training.prepared import PreparedSplits
from seqbench.training.schedules import make_schedule
from seqbench.training.split import Batch

#: A message names at most this many weights.
MOST_NAMED = 8


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
        self.carrying = Carrying(model) if settings.get("carry_state") else None
        self.forward = self.carrying or forward_of(model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(model, settings["optimizer"], settings.get("groups", {}))
        self.clip_norm = settings["clip_norm"]
        self.autocast = settings.get("precision", "fp32") == "bf16"
        self.schedule = make_schedule(
            self.optimizer,
            settings["schedule"],
            epoch=steps_per_epoch,
            total=Periods.of(settings, steps_per_epoch).total,
        )
        self.count = 0

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
        self.schedule.step()
        self.count += 1
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Optimizer, schedule and number of steps, as plain data and tensors."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "carried": None if self.carrying is None else self.carrying.state,
            "count": self.count,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load what :meth:`state_dict` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.carrying is not None:
            self.carrying.state = state["carried"]
        self.count = state["count"]

    def _backward(self, batches: Sequence[Batch]) -> Tensor:
        """Compute the gradients; returns the mean loss."""
        if len(batches) == 1:
            loss = self._loss(batches[0])
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()
        totals = [self.loss.total(batch) for batch in batches]
        whole = torch.zeros((), device=batches[0].inputs.device)
        for batch, total in zip(batches, totals, strict=True):
            loss = self._loss(batch) * (total / sum(totals))
            loss.backward()  # type: ignore[no-untyped-call]
            whole += loss.detach()
        return whole

    def _loss(self, batch: Batch) -> Tensor:
        return self.loss(self._answer(batch), batch.targets, batch.weights)

    def _answer(self, batch: Batch) -> Tensor:
        if not self.autocast:
            return self.forward(batch)
        with torch.autocast(batch.inputs.device.type, torch.bfloat16):
            answer = self.forward(batch)
        return answer.float()


def make_optimizer(
    model: nn.Module,
    choice: Mapping[str, Any],
    groups: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> torch.optim.Optimizer:
    """The torch optimizer ``choice["name"]`` (case-insensitive) with ``choice["params"]``.

    Args:
        groups: for patterns of names, as of files, other parameters; a weight belongs to the first
            pattern that its name matches.

    Raises:
        UsageError: a pattern matches no weight, or this torch lacks the optimizer.
    """
    by_name = {name.lower(): name for name in dir(torch.optim)}
    if choice["name"] not in by_name:
        raise UsageError(f"train.optimizer: torch {torch.__version__} has no {choice['name']}")
    kind = getattr(torch.optim, by_name[choice["name"]])
    optimizer: torch.optim.Optimizer = kind(_weights(model, groups), **choice["params"])
    return optimizer


def _weights(model: nn.Module, groups: Mapping[str, Mapping[str, float]]) -> list[Any]:
    """The trainable weights, in groups if there are patterns."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not groups:
        return [parameter for _, parameter in named]
    found: dict[str, list[nn.Parameter]] = {pattern: [] for pattern in ("", *groups)}
    for name, parameter in named:
        matching = (pattern for pattern in groups if fnmatchcase(name, pattern))
        found[next(matching, "")].append(parameter)
    for pattern in groups:
        if not found[pattern]:
            names = ", ".join(name for name, _ in named[:MOST_NAMED])
            raise UsageError(
                f"train.groups: {pattern!r} matches none of the weights that are left to it: "
                f"{names}{', …' if len(named) > MOST_NAMED else ''}"
            )
    some = [(pattern, weights) for pattern, weights in found.items() if weights]
    return [{"params": weights, **groups.get(pattern, {})} for pattern, weights in some]
