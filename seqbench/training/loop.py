"""The training loop. The same seed gives the same weights, bit for bit, under any load."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import Diverged, PluginError, reason_of, status_of
from seqbench.quantities import find
from seqbench.training.batches import Batches, batches_of
from seqbench.training.confusion import Confusion
from seqbench.training.evaluation import MeanLoss, Meter, evaluate
from seqbench.training.losses import Loss
from seqbench.training.parts import Parts
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Batch, Split
from seqbench.training.step import Step
from seqbench.training.weights import load_state, what_is_missing
from seqbench.types import Task

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
    splits: PreparedSplits,
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
            and, by default fp32, false and bucketed, ``precision``, ``drop_last`` and ``batches``.
        seed: of the data order (and, set by the caller, of the initial weights).
        notify: called with progress messages, as plain data.
        meters: of the pass over the test split that ``metrics["value"]`` is from.

    Raises:
        Diverged: the loss became NaN or infinite, or exploded.
        PluginError: the model's answer has the wrong shape, or the weights of the best epoch do
            not restore its model.
        DataError: ``drop_last`` leaves no batch.
    """
    batches = batches_of(splits, settings, device=device, seed=seed)
    step = Step(model, splits, settings, batches.per_epoch)
    loop = _Loop(step, batches, settings, device, notify=notify)
    best = _Best(splits.task, step.loss)
    curve, first_loss = list[dict[str, Any]](), math.inf
    for epoch in range(1, loop.epochs + 1):
        started = time.perf_counter()
        losses, mean = loop.run_epoch(epoch)
        entry: dict[str, Any] = {"epoch": epoch, "train_loss": mean}
        first_loss = losses[0].item() if epoch == 1 else first_loss
        _raise_if_exploded(entry["train_loss"], first_loss, loop.step.count)
        if splits.validation is not None:
            figure, loss = _validate(model, splits.validation, step.loss, device)
            _raise_if_nan(figure, loop.step.count)
            entry |= {"validation": figure, "validation_loss": loss}
            best.update(epoch, figure, loss, model)
        entry["seconds"] = time.perf_counter() - started
        notify({"epoch": epoch, "epochs": loop.epochs, **entry})
        curve.append({**entry, "steps": loop.step.count})
    return _finish(loop, splits, curve, best=best, meters=meters)


@dataclass(frozen=True)
class _Loop:
    """What every epoch of a training uses."""

    step: Step
    batches: Batches
    settings: Mapping[str, Any]
    device: torch.device
    _: KW_ONLY
    notify: Notify

    @property
    def epochs(self) -> int:
        count: int = self.settings["epochs"]
        return count

    def run_epoch(self, epoch: int) -> tuple[Tensor, float]:
        """Train on all sequences once.

        Returns:
            the loss of each step, on the CPU, and their mean: over all targets if they count
            unequally, otherwise over the steps.

        Raises:
            Diverged: a loss is NaN or infinite.
        """
        self.step.model.train()
        count = self.batches.per_epoch
        losses = torch.zeros(count, device=self.device)
        totals = torch.zeros(count, device=self.device)
        unequal, checked, notified = False, 0, 0.0
        for number, batch in enumerate(self.batches.epoch()):
            losses[number] = self._stepped(batch)
            unequal = unequal or batch.weights is not None
            totals[number] = batch.total(self.step.loss.task)
            if (number + 1) % CHECK_EVERY_STEPS and number + 1 < count:
                continue
            first_step = self.step.count - (number - checked)
            _raise_if_not_finite(losses[checked : number + 1], first_step)
            checked = number + 1
            if time.monotonic() - notified > NOTIFY_EVERY_SECONDS:
                notified = time.monotonic()
                self._notify(epoch, losses[number].item(), steps=count * self.epochs)
        losses, totals = losses.cpu(), totals.cpu()
        return losses, _mean(losses, totals if unequal else torch.ones(count))

    def _stepped(self, batch: Batch) -> Tensor:
        """The loss of one step. An error at a lone sequence, which batch normalization cannot
        normalize, has a hint.
        """
        try:
            return self.step(batch)
        except Exception as error:
            alone = len(batch) == 1 and self.settings["batch_size"] > 1 and self.step.count
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


def _mean(losses: Tensor, totals: Tensor) -> float:
    losses, totals = losses.double(), totals.double()
    if bool((totals == 1).all()):
        return losses.mean().item()
    return ((losses * totals).sum() / totals.sum()).item()


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
    model: nn.Module, split: Split, loss: Loss, device: torch.device
) -> tuple[float, float]:
    """The task's metric and the mean loss on a split."""
    meter = MeanLoss(loss)
    figure = evaluate(model, split, device=device, meters=[meter])
    return figure, meter.value


class _Best:
    """The weights with the best validation metric; of equal ones those with the lowest validation
    loss; of those the latest.
    """

    def __init__(self, task: Task, loss: Loss):
        self.measure = loss
        self.sign = 1 if find(task.metric).higher_is_better else -1
        self.epoch: int | None = None
        self.validation = self.loss = 0.0
        self.state: dict[str, Tensor] = {}

    def update(self, epoch: int, validation: float, loss: float, model: nn.Module) -> None:
        now = (self.sign * validation, -loss)
        if self.epoch is None or now >= (self.sign * self.validation, -self.loss):
            self.epoch, self.validation, self.loss = epoch, validation, loss
            self.state = copy.deepcopy(model.state_dict())

    def restore(self, model: nn.Module, splits: PreparedSplits, device: torch.device) -> None:
        """Load the weights, and check that the model is that of the best epoch again.

        Raises:
            PluginError: it is not, because it has state that is not in its state dict.
        """
        load_state(model, self.state)
        assert splits.validation is not None
        loss = _validate(model, splits.validation, self.measure, device)[1]
        if math.isclose(loss, self.loss, rel_tol=SAME_LOSS):
            return
        again = _validate(model, splits.validation, self.measure, device)[1]
        if math.isclose(again, loss, rel_tol=SAME_LOSS):  # else it is random in evaluation mode
            raise PluginError(
                f"epoch {self.epoch} is the best on validation, but its weights give another "
                f"validation loss when they are loaded again ({loss:.4g}, not {self.loss:.4g}): "
                f"{what_is_missing(model)}"
            )


def _finish(
    loop: _Loop,
    splits: PreparedSplits,
    curve: list[dict[str, Any]],
    *,
    best: _Best,
    meters: Sequence[Meter],
) -> Trained:
    """Evaluate on the test split: at the last weights and, if others were better on validation, at
    those. The confusion matrix, and ``meters``, belong to the weights that are kept.
    """
    confusion, parts = Confusion(splits.task), Parts(splits.test)
    model, steps, device = loop.step.model, loop.step.count, loop.device
    keeps_last = best.epoch is None or best.epoch == curve[-1]["epoch"]
    kept: Sequence[Meter] = [confusion, parts, *meters]
    at_last = kept if keeps_last else ()
    last = evaluate(model, splits.test, device=device, meters=at_last)
    _raise_if_nan(last, steps)
    value = last
    if not keeps_last:
        best.restore(model, splits, device)
        value = evaluate(model, splits.test, device=device, meters=kept)
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
        **parts.result(),
    }
    if loop.batches.padding is not None:
        metrics["padding"] = loop.batches.padding
    return Trained(metrics, curve)
