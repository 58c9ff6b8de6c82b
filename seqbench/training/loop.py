"""The training loop. The same seed gives the same weights, bit for bit, under any load."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import DataError, Diverged, PluginError, reason_of, status_of
from seqbench.quantities import find
from seqbench.training.confusion import Confusion
from seqbench.training.evaluation import MeanLoss, Meter, evaluate
from seqbench.training.step import Step
from seqbench.training.weights import load_state, what_is_missing
from seqbench.types import Splits, Task

#: A training has diverged if the mean loss of an epoch exceeds this multiple of the initial loss.
EXPLOSION = 100.0

#: How often losses are checked; not at every step, since each check waits for the device.
CHECK_EVERY_STEPS = 50

NOTIFY_EVERY_SECONDS = 0.25

#: Relative difference up to which two losses of the same weights and data are equal.
SAME_LOSS = 1e-4

Notify = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Trained:
    """The result of a training, besides the model's weights."""

    metrics: dict[str, Any]
    curve: list[dict[str, Any]]


def train_model(
    model: nn.Module,
    splits: Splits,
    settings: Mapping[str, Any],
    *,
    device: torch.device,
    seed: int,
    notify: Notify = lambda message: None,
    meters: Sequence[Meter] = (),
) -> Trained:
    """Train ``model`` in place; it is left with the weights that ``metrics["value"]`` belongs to.

    The test split is evaluated once at the last weights and, if there is a validation split, once
    at the best weights (see :class:`_Best`). Weights are selected on validation only.

    Args:
        model, splits: on ``device``, and on the CPU, from where they are moved once.
        settings: ``epochs``, ``batch_size``, ``optimizer``, ``schedule``, ``clip_norm``,
            and, by default fp32 and false, ``precision`` and ``drop_last``.
        seed: of the data order (and, set by the caller, of the initial weights).
        notify: called with progress messages, as plain data.
        meters: of the pass over the test split that ``metrics["value"]`` is from.

    Raises:
        Diverged: the loss became NaN or infinite, or exploded.
        PluginError: the model's answer has the wrong shape, or the weights of the best epoch do
            not restore its model.
        DataError: ``drop_last`` leaves no batch.
    """
    task = splits.task
    loop = _Loop.of(model, splits, settings, device=device, notify=notify)
    order = torch.Generator().manual_seed(seed)
    best = _Best(task)
    curve, first_loss = list[dict[str, Any]](), math.inf
    for epoch in range(1, loop.epochs + 1):
        started = time.perf_counter()
        indices = torch.randperm(len(loop.inputs), generator=order).to(device)
        losses = loop.run_epoch(epoch, indices).cpu()
        entry: dict[str, Any] = {"epoch": epoch, "train_loss": losses.double().mean().item()}
        first_loss = losses[0].item() if epoch == 1 else first_loss
        _raise_if_exploded(entry["train_loss"], first_loss, loop.step.count)
        if splits.validation is not None:
            figure, loss = _validate(model, splits.validation, task, device)
            _raise_if_nan(figure, loop.step.count)
            entry |= {"validation": figure, "validation_loss": loss}
            best.update(epoch, figure, loss, model)
        entry["seconds"] = time.perf_counter() - started
        notify({"epoch": epoch, "epochs": loop.epochs, **entry})
        curve.append({**entry, "steps": loop.step.count})
    return _finish(loop, splits, curve, best=best, meters=meters)


@dataclass(frozen=True)
class _Loop:
    """What every epoch of a training uses.

    Args:
        inputs, targets: of the training split, on the device.
        drop_last: whether an incomplete last batch is left out.
    """

    step: Step
    inputs: Tensor
    targets: Tensor
    batch_size: int
    epochs: int
    drop_last: bool
    notify: Notify

    @classmethod
    def of(
        cls,
        model: nn.Module,
        splits: Splits,
        settings: Mapping[str, Any],
        *,
        device: torch.device,
        notify: Notify,
    ) -> _Loop:
        inputs, targets = (tensor.to(device) for tensor in splits.train)
        batch_size, epochs = settings["batch_size"], settings["epochs"]
        drop_last = settings.get("drop_last", False)
        if drop_last and len(inputs) < batch_size:
            raise DataError(
                f"train.drop_last leaves no batch: the training split has {len(inputs)} "
                f"sequences, fewer than train.batch_size {batch_size}; reduce train.batch_size"
            )
        batches = len(inputs) / batch_size
        steps_per_epoch = math.floor(batches) if drop_last else math.ceil(batches)
        step = Step(model, splits.task, settings, steps_per_epoch)
        return cls(
            step,
            inputs,
            targets,
            batch_size=batch_size,
            epochs=epochs,
            drop_last=drop_last,
            notify=notify,
        )

    def run_epoch(self, epoch: int, indices: Tensor) -> Tensor:
        """Train on all sequences once, in the order of ``indices``; returns the loss of each step.

        Raises:
            Diverged: a loss is NaN or infinite.
        """
        self.step.model.train()
        batches = torch.split(indices, self.batch_size)
        if self.drop_last and len(batches[-1]) < self.batch_size:
            batches = batches[:-1]
        losses = torch.zeros(len(batches), device=self.inputs.device)
        checked, notified = 0, 0.0
        for number, batch in enumerate(batches):
            # index_select is faster than inputs[batch].
            x, y = self.inputs.index_select(0, batch), self.targets.index_select(0, batch)
            losses[number] = self._stepped(x, y)
            if (number + 1) % CHECK_EVERY_STEPS and number + 1 < len(batches):
                continue
            first_step = self.step.count - (number - checked)
            _raise_if_not_finite(losses[checked : number + 1], first_step)
            checked = number + 1
            if time.monotonic() - notified > NOTIFY_EVERY_SECONDS:
                notified = time.monotonic()
                self._notify(epoch, losses[number].item(), steps=len(batches) * self.epochs)
        return losses

    def _stepped(self, x: Tensor, y: Tensor) -> Tensor:
        """The loss of one step. An error at a lone sequence, which batch normalization cannot
        normalize, has a hint.
        """
        try:
            return self.step(x, y)
        except Exception as error:
            alone = len(x) == 1 and self.batch_size > 1 and self.step.count
            if not alone or status_of(error) == "out_of_memory":
                raise
            raise PluginError(
                f"{reason_of(error)}; the last batch of an epoch is a single sequence: leave it "
                "out with train.drop_last: true, or choose another train.batch_size"
            ) from error

    def _notify(self, epoch: int, loss: float, *, steps: int) -> None:
        self.notify(
            {
                "epoch": epoch,
                "epochs": self.epochs,
                "step": self.step.count,
                "steps": steps,
                "train_loss": loss,
            }
        )


def _raise_if_not_finite(losses: Tensor, first_step: int) -> None:
    """``losses`` belong to the steps from ``first_step`` on, counted from 1."""
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        position = int(bad[0])
        raise Diverged(first_step + position, f"{losses[position].item()}")


def _raise_if_exploded(loss: float, first: float, steps: int) -> None:
    """``first`` is the loss of the untrained model."""
    if loss > EXPLOSION * max(first, 1e-3):
        raise Diverged(steps, f"{loss:.3g} (initially {first:.3g})", what="the mean loss")


def _raise_if_nan(figure: float, steps: int) -> None:
    if math.isnan(figure):
        raise Diverged(steps, "nan", what="the model's answer")


def _validate(
    model: nn.Module, split: tuple[Tensor, Tensor], task: Task, device: torch.device
) -> tuple[float, float]:
    """The task's metric and the mean loss on a split."""
    loss = MeanLoss(task)
    figure = evaluate(model, split, task=task, device=device, meters=[loss])
    return figure, loss.value


class _Best:
    """The weights with the best validation metric; of equal ones those with the lowest validation
    loss; of those the latest.
    """

    def __init__(self, task: Task):
        self.sign = 1 if find(task.metric).higher_is_better else -1
        self.epoch: int | None = None
        self.validation = self.loss = 0.0
        self.state: dict[str, Tensor] = {}

    def update(self, epoch: int, validation: float, loss: float, model: nn.Module) -> None:
        now = (self.sign * validation, -loss)
        if self.epoch is None or now >= (self.sign * self.validation, -self.loss):
            self.epoch, self.validation, self.loss = epoch, validation, loss
            self.state = copy.deepcopy(model.state_dict())

    def restore(self, model: nn.Module, splits: Splits, device: torch.device) -> None:
        """Load the weights, and check that the model is that of the best epoch again.

        Raises:
            PluginError: it is not, because it has state that is not in its state dict.
        """
        load_state(model, self.state)
        assert splits.validation is not None
        loss = _validate(model, splits.validation, splits.task, device)[1]
        if math.isclose(loss, self.loss, rel_tol=SAME_LOSS):
            return
        again = _validate(model, splits.validation, splits.task, device)[1]
        if math.isclose(again, loss, rel_tol=SAME_LOSS):  # else it is random in evaluation mode
            raise PluginError(
                f"epoch {self.epoch} is the best on validation, but its weights give another "
                f"validation loss when they are loaded again ({loss:.4g}, not {self.loss:.4g}): "
                f"{what_is_missing(model)}"
            )


def _finish(
    loop: _Loop,
    splits: Splits,
    curve: list[dict[str, Any]],
    *,
    best: _Best,
    meters: Sequence[Meter],
) -> Trained:
    """Evaluate on the test split: at the last weights and, if others were better on validation, at
    those. The confusion matrix, and ``meters``, belong to the weights that are kept.
    """
    task, confusion = splits.task, Confusion(splits.task)
    model, steps, device = loop.step.model, loop.step.count, loop.inputs.device
    keeps_last = best.epoch is None or best.epoch == curve[-1]["epoch"]
    kept: Sequence[Meter] = [confusion, *meters]
    at_last = kept if keeps_last else ()
    last = evaluate(model, splits.test, task=task, device=device, meters=at_last)
    _raise_if_nan(last, steps)
    value = last
    if not keeps_last:
        best.restore(model, splits, device)
        value = evaluate(model, splits.test, task=task, device=device, meters=kept)
        _raise_if_nan(value, steps)
    metrics: dict[str, Any] = {
        "value": value,
        "last": last,
        "best": None if best.epoch is None else value,
        "best_epoch": best.epoch,
        "validation": None if best.epoch is None else best.validation,
        "train_loss": curve[-1]["train_loss"],
        "steps": steps,
        **confusion.result(),
    }
    return Trained(metrics, curve)
