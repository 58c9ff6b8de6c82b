"""The training loop. The same seed gives the same weights, bit for bit, under any load."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import DataError, Diverged, PluginError, reason_of, status_of
from seqbench.quantities import find
from seqbench.training.batches import Batches, batches_of
from seqbench.training.confusion import Confusion
from seqbench.training.evaluation import MeanLoss, Meter, evaluate
from seqbench.training.losses import Loss
from seqbench.training.parts import Parts
from seqbench.training.periods import Periods
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
        settings: ``epochs``, ``batch_size``, ``optimizer``, ``schedule``, ``clip_norm``; and the
            keys that :meth:`seqbench.suite.keys.Training.resolved` leaves out at their default.
        seed: of the data order (and, set by the caller, of the initial weights).
        notify: called with progress messages, as plain data.
        meters: of the pass over the test split that ``metrics["value"]`` is from.

    Raises:
        Diverged: the loss became NaN or infinite, or exploded.
        PluginError: the model's answer has the wrong shape, or the weights of the best epoch do
            not restore its model.
        DataError: ``drop_last`` leaves no batch, or a setting needs a validation split.
        UsageError: a setting does not fit the task or the model.
    """
    _check_validation(splits, settings)
    batches = batches_of(splits, settings, device=device, seed=seed)
    loop = _Loop(model, splits, batches, settings, device=device, notify=notify)
    best = _Best(splits.task, loop.step.loss)
    curve, first_loss = list[dict[str, Any]](), math.inf
    for number, steps in enumerate(loop.periods, 1):
        started = time.perf_counter()
        losses, mean = loop.run_period(number, steps)
        entry: dict[str, Any] = {"epoch": number, "train_loss": mean}
        first_loss = losses[0].item() if number == 1 else first_loss
        _raise_if_exploded(entry["train_loss"], first_loss, loop.step.count)
        if splits.validation is not None:
            entry |= _validated(loop, splits.validation, best, number)
        entry["seconds"] = time.perf_counter() - started
        notify({"epoch": number, "epochs": len(loop.periods), **entry})
        curve.append({**entry, "steps": loop.step.count})
        if best.stale(number, settings):
            break
    return _finish(loop, splits, curve, best=best, meters=meters)


def _validated(loop: _Loop, split: Split, best: _Best, number: int) -> dict[str, Any]:
    """Evaluate on validation; returns the figures of the learning curve."""
    figure, loss = _validate(loop.step.model, split, loop.step.loss, loop.device)
    _raise_if_nan(figure, loop.step.count)
    best.update(number, figure, loss, loop.step.model)
    loop.step.schedule.evaluated(loss)
    return {"validation": figure, "validation_loss": loss}


def _check_validation(splits: PreparedSplits, settings: Mapping[str, Any]) -> None:
    """Raise DataError if a setting needs a validation split, and there is none."""
    schedule = settings["schedule"] or {"name": ""}
    for key, needed in (
        ("early_stopping", bool(settings.get("early_stopping"))),
        ("schedule: plateau", schedule["name"] == "plateau"),
    ):
        if needed and splits.validation is None:
            raise DataError(f"train.{key} needs a validation split, and the dataset has none")


class _Loop:
    """What every period of a training uses."""

    def __init__(
        self,
        model: nn.Module,
        splits: PreparedSplits,
        batches: Batches,
        settings: Mapping[str, Any],
        *,
        device: torch.device,
        notify: Notify,
    ):
        self.batches, self.settings = batches, settings
        self.device, self.notify = device, notify
        per_epoch = math.ceil(batches.per_epoch / settings.get("accumulate", 1))
        self.step = Step(model, splits, settings, per_epoch)
        self.periods = Periods.of(settings, per_epoch)
        self._groups = self._of_each_step()

    def _of_each_step(self) -> Iterator[list[Batch]]:
        """The batches of each step, without end. The last step of an epoch may have fewer."""
        while True:
            epoch = self.batches.epoch()
            while group := list(itertools.islice(epoch, self.settings.get("accumulate", 1))):
                yield group

    def run_period(self, period: int, count: int) -> tuple[Tensor, float]:
        """Make ``count`` steps.

        Returns:
            the loss of each step, on the CPU, and their mean: over all targets if they count
            unequally, otherwise over the steps.

        Raises:
            Diverged: a loss is NaN or infinite.
        """
        self.step.model.train()
        losses = torch.zeros(count, device=self.device)
        totals = torch.zeros(count, device=self.device)
        unequal, checked, notified = False, 0, 0.0
        for number, group in enumerate(itertools.islice(self._groups, count)):
            losses[number] = self._stepped(group)
            unequal = unequal or any(batch.weights is not None for batch in group)
            totals[number] = sum(self.step.loss.total(batch) for batch in group)
            if (number + 1) % CHECK_EVERY_STEPS and number + 1 < count:
                continue
            first_step = self.step.count - (number - checked)
            _raise_if_not_finite(losses[checked : number + 1], first_step)
            checked = number + 1
            if time.monotonic() - notified > NOTIFY_EVERY_SECONDS:
                notified = time.monotonic()
                self._notify(period, losses[number].item())
        losses, totals = losses.cpu(), totals.cpu()
        return losses, _mean(losses, totals if unequal else torch.ones(count))

    def _stepped(self, group: Sequence[Batch]) -> Tensor:
        """The loss of one step. An error at a lone sequence, which batch normalization cannot
        normalize, has a hint.
        """
        try:
            return self.step(*group)
        except Exception as error:
            alone = (
                min(map(len, group)) == 1 and self.settings["batch_size"] > 1 and self.step.count
            )
            if not alone or status_of(error) == "out_of_memory":
                raise
            raise PluginError(
                f"{reason_of(error)}; the last batch of an epoch is a single sequence: leave it "
                "out with train.drop_last: true, or choose another train.batch_size"
            ) from error

    def _notify(self, period: int, loss: float) -> None:
        self.notify(
            {
                "epoch": period,
                "epochs": len(self.periods),
                "step": self.step.count,
                "steps": self.periods.total,
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
        self.improved = 0  # the evaluation that was better than all before, not equal
        self.validation = self.loss = 0.0
        self.state: dict[str, Tensor] = {}

    def update(self, epoch: int, validation: float, loss: float, model: nn.Module) -> None:
        now = (self.sign * validation, -loss)
        before = (self.sign * self.validation, -self.loss)
        if self.epoch is None or now > before:
            self.improved = epoch
        if self.epoch is None or now >= before:
            self.epoch, self.validation, self.loss = epoch, validation, loss
            self.state = copy.deepcopy(model.state_dict())

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
