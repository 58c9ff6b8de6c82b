"""The weights with the best figure on validation."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.training.evaluation import MeanLoss, evaluate
from seqbench.training.losses import Loss
from seqbench.training.prepared import PreparedSplits
from seqbench.training.primary import Primary
from seqbench.training.split import Split
from seqbench.training.weights import load_state, what_is_missing

#: Relative difference up to which two losses of the same weights and data are equal.
SAME_LOSS = 1e-4


def validate(
    model: nn.Module, split: Split, loss: Loss, device: torch.device, primary: Primary
) -> tuple[float, float]:
    """The primary metric and the mean loss on a split."""
    meter = MeanLoss(loss)
    figure = evaluate(model, split, device=device, make=primary.make, meters=[meter])
    return figure, meter.value


class Best:
    """The weights with the best validation metric; of equal ones those with the lowest validation
    loss; of those the latest.

    For early stopping, only a better metric is an improvement.
    """

    def __init__(self, primary: Primary, loss: Loss):
        self.primary, self.loss_function = primary, loss
        self.sign = 1 if primary.higher_is_better else -1
        self.epoch: int | None = None
        self.improved = 0  # the evaluation whose metric was better than all before, not equal
        self.validation = self.loss = 0.0
        self.state: dict[str, Tensor] = {}

    def update(self, epoch: int, validation: float, loss: float, model: nn.Module) -> None:
        now = (self.sign * validation, -loss)
        before = (self.sign * self.validation, -self.loss)
        if self.epoch is None or now[0] > before[0]:
            self.improved = epoch
        if self.epoch is None or now >= before:
            self.epoch, self.validation, self.loss = epoch, validation, loss
            self.state = copy.deepcopy(model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` needs to continue."""
        return {
            "epoch": self.epoch, "improved": self.improved,
            "validation": self.validation, "loss": self.loss, "state": self.state,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load what :meth:`state_dict` returned."""
        self.epoch, self.improved = state["epoch"], state["improved"]
        self.validation, self.loss, self.state = state["validation"], state["loss"], state["state"]

    def stale(self, epoch: int, settings: Mapping[str, Any]) -> bool:
        """Whether a training with ``early_stopping`` ends, after the evaluation ``epoch``."""
        stopping = settings.get("early_stopping")
        if not stopping or self.epoch is None:
            return False
        return bool(epoch - self.improved >= stopping["patience"])

    def restore(self, model: nn.Module, splits: PreparedSplits, device: torch.device) -> None:
        """Load the weights, and check that the model is that of the best epoch again.

        Raises:
            PluginError: it is not, because it has state that is not in its state dict.
        """
        load_state(model, self.state)
        assert splits.validation is not None
        loss = validate(model, splits.validation, self.loss_function, device, self.primary)[1]
        if math.isclose(loss, self.loss, rel_tol=SAME_LOSS):
            return
        again = validate(model, splits.validation, self.loss_function, device, self.primary)[1]
        if math.isclose(again, loss, rel_tol=SAME_LOSS):  # else it is random in evaluation mode
            raise PluginError(
                f"epoch {self.epoch} is the best on validation, but its weights give another "
                f"validation loss when they are loaded again ({loss:.4g}, not {self.loss:.4g}): "
                f"{what_is_missing(model)}"
            )
