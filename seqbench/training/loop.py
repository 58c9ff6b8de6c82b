"""The training loop. The same seed gives the same weights, bit for bit, under any load."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import DataError, Diverged, PluginError, reason_of, status_of
from seqbench.training.batches import Batches, batches_of
from seqbench.training.best import Best, validate
from seqbench.training.checkpoints import Checkpoints, random_state, restore_random_state
from seqbench.training.confusion import Confusion
from seqbench.training.evaluation import BySet, Meter, evaluate
from seqbench.training.methods import is_plugins
from seqbench.training.optimizers import trained_by_muon
from seqbench.training.parts import Parts
from seqbench.training.periods import Periods
from seqbench.training.prepared import PreparedSplits
from seqbench.training.primary import Primary, own_metric
from seqbench.training.split import Batch, Split
from seqbench.training.step import Step
from seqbench.training.weights import changed_names, load_state, unsaved_state

#: A training has diverged if the mean loss of an epoch exceeds this multiple of the initial loss,
#: or of that of a model that answers 0, which an untrained one may be below by chance.
EXPLOSION = 100.0

#: How often losses are checked; not at every step, since each check waits for the device.
CHECK_EVERY_STEPS = 50

NOTIFY_EVERY_SECONDS = 0.25

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
    primary: Primary | None = None,
    notify: Notify = lambda message: None,
    meters: Sequence[Meter] = (),
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Train ``model`` in place; it is left with the weights that ``metrics["value"]`` belongs to.

    The test split is evaluated once at the last weights and, if there is a validation split, once
    at the best weights (see :class:`Best`). Weights are selected on validation only.

    Args:
        model, splits: on ``device``, and on the CPU, from where they are moved once.
        settings: ``epochs``, ``batch_size``, ``optimizer``, ``schedule``, ``clip_norm``; and the
            keys that :meth:`seqbench.suite.keys.Training.resolved` leaves out at their default.
        seed: of the data order (and, set by the caller, of the initial weights).
        primary: decides on the best epoch; by default the task's own metric.
        notify: called with progress messages, as plain data.
        meters: of the pass over the test split that ``metrics["value"]`` is from.
        checkpoints: where the state is saved now and then, and loaded if there is one.

    Raises:
        Diverged: the loss became NaN or infinite, or exploded.
        PluginError: the model's answer has the wrong shape, or the weights of the best epoch do
            not restore its model.
        DataError: ``drop_last`` leaves no batch, or a setting needs a validation split.
        UsageError: a setting does not fit the task or the model.
    """
    _check_validation(splits, settings)
    batches = batches_of(splits, settings, device=device, seed=seed)
    loop = _Loop(
        model, splits, batches, settings,
        primary=primary or own_metric(splits.task), device=device, notify=notify,
    )  # fmt: skip
    if loop.resume(checkpoints):
        notify({"continued": loop.step.count})
    while loop.period is not None:
        entry = _period(loop, splits.validation)
        notify({"epoch": entry["epoch"], "epochs": len(loop.periods), **entry})
        loop.end_period({**entry, "steps": loop.step.count})
    return _finish(loop, splits, meters)


def _period(loop: _Loop, validation: Split | None) -> dict[str, Any]:
    """Run a period and evaluate; returns its entry of the learning curve."""
    assert loop.period is not None
    mean = loop.run_period()
    started = time.perf_counter() - loop.period.spent
    entry: dict[str, Any] = {"epoch": loop.period.number, "train_loss": mean}
    loop.raise_if_exploded(mean)
    if validation is not None:
        entry |= _validated(loop, validation)
    return {**entry, "seconds": time.perf_counter() - started}


def _validated(loop: _Loop, split: Split) -> dict[str, Any]:
    """Evaluate on validation; returns the figures of the learning curve."""
    assert loop.period is not None
    figure, loss = validate(loop.measured, split, loop.step.loss, loop.device, loop.best.primary)
    _raise_if_nan(figure, loop.step.count)
    loop.best.update(loop.period.number, figure, loss, loop.measured)
    loop.step.schedule.evaluated(loss)
    return {"validation": figure, "validation_loss": loss}


def _check_validation(splits: PreparedSplits, settings: Mapping[str, Any]) -> None:
    """Raise DataError if a setting needs a validation split, and there is none."""
    schedule = settings["schedule"] or {"name": ""}
    plateau = schedule["name"] == "plateau" and not is_plugins(schedule)
    for key, needed in (
        ("early_stopping", bool(settings.get("early_stopping"))),
        ("schedule: plateau", plateau),
    ):
        if needed and splits.validation is None:
            raise DataError(f"train.{key} needs a validation split, and the dataset has none")


@dataclass
class _Period:
    """The steps between two evaluations.

    Args:
        number: from 1.
        losses, totals: of each step its mean loss, and how much its batches count.
        done: steps made so far.
        spent: seconds so far.
    """

    number: int
    losses: Tensor
    totals: Tensor
    done: int = 0
    spent: float = 0.0

    @property
    def first(self) -> float:
        """The loss of the first step of which anything counts."""
        counted = self.losses[self.totals > 0]
        return counted[0].item() if len(counted) else math.inf

    def mean(self, over_steps: bool) -> float:
        """The mean loss, over the steps or over all targets.

        Raises:
            DataError: no target counts.
        """
        losses, totals = self.losses.cpu().double(), self.totals.cpu().double()
        if not bool(totals.any()):
            raise DataError(
                f"no target counts in {len(losses):,} training steps, since all have weight 0"
            )
        if over_steps:
            return losses.mean().item()
        return ((losses * totals).sum() / totals.sum()).item()


class _Loop:
    """A training in progress.

    Args:
        period: the current one; None once the training has ended.
        curve: an entry for each period that has ended.
        first_loss: of the untrained model.
    """

    def __init__(
        self,
        model: nn.Module,
        splits: PreparedSplits,
        batches: Batches,
        settings: Mapping[str, Any],
        *,
        primary: Primary,
        device: torch.device,
        notify: Notify,
    ):
        self.batches, self.settings = batches, settings
        self.device, self.notify = device, notify
        per_epoch = math.ceil(batches.per_epoch / settings.get("accumulate", 1))
        self.step = Step(model, splits, settings, per_epoch)
        self.periods = Periods.of(settings, per_epoch)
        self.best = Best(primary, self.step.loss)
        self.curve = list[dict[str, Any]]()
        self.first_loss = math.inf
        self.period: _Period | None = self._new_period()
        self._groups = self._of_each_step()
        train = splits.train
        equal = isinstance(train, Split) and train.offsets is train.weights is None
        self._over_steps = equal and self.step.loss.class_weights is None
        self._checkpoints: Checkpoints | None = None
        self._unsaved: Mapping[str, str] = {}  # of the model at first, what checkpoints lack
        self._last: Sequence[Batch] = []  # the batches of the last step

    @property
    def measured(self) -> nn.Module:
        """The model that is evaluated: with ``ema``, the one with the average of the weights."""
        average = self.step.average
        return self.step.model if average is None else average.module

    def _new_period(self) -> _Period | None:
        """The period after those of the curve."""
        number = len(self.curve)
        steps = next(itertools.islice(self.periods, number, None), None)
        if steps is None:
            return None
        losses, totals = (torch.zeros(steps, device=self.device) for _ in range(2))
        return _Period(number + 1, losses, totals)

    def end_period(self, entry: dict[str, Any]) -> None:
        """Add an entry to the curve, and begin the next period, if there is one."""
        self.curve.append(entry)
        stale = self.best.stale(entry["epoch"], self.settings)
        self.period = None if stale else self._new_period()
        if self.period is not None:
            self._save_if_due()

    def _of_each_step(self) -> Iterator[list[Batch]]:
        """The batches of each step, without end. The last step of an epoch may have fewer."""
        while True:
            epoch = self.batches.epoch()
            while group := list(itertools.islice(epoch, self.settings.get("accumulate", 1))):
                yield group

    def run_period(self) -> float:
        """Make the steps that are left of the period; returns its mean loss.

        Raises:
            Diverged: a loss is NaN or infinite.
        """
        period = self.period
        assert period is not None
        self.step.model.train()
        started, count = time.perf_counter() - period.spent, len(period.losses)
        checked, notified = period.done, 0.0
        for group in itertools.islice(self._groups, count - period.done):
            period.losses[period.done] = self._stepped(group)
            period.totals[period.done] = sum(self.step.total_of(batch) for batch in group)
            period.done += 1
            if period.done % CHECK_EVERY_STEPS and period.done < count and not self._due():
                continue
            first_step = self.step.count - (period.done - checked) + 1
            _raise_if_not_finite(period.losses[checked : period.done], first_step)
            checked = period.done
            period.spent = time.perf_counter() - started
            if time.monotonic() - notified > NOTIFY_EVERY_SECONDS:
                notified = time.monotonic()
                self._notify(period.number, period.losses[period.done - 1].item())
            if period.done < count:
                self._save_if_due()
            self._last = group
        if not math.isfinite(self.first_loss):
            self.first_loss = period.first
        return period.mean(self._over_steps)

    def raise_if_exploded(self, mean: float) -> None:
        """Raise Diverged if the mean loss of a period is far above the initial one."""
        first = self.first_loss
        if mean <= EXPLOSION * max(first, 1e-3):
            return
        of_zeros = max(self.step.loss.of_zeros(batch) for batch in self._last)
        if mean > EXPLOSION * of_zeros:
            raise Diverged(self.step.count, f"{mean:.3g} (initially {first:.3g})", "the mean loss")

    def resume(self, checkpoints: Checkpoints | None) -> bool:
        """Continue from the last checkpoint, if there is one, and save others from now on.

        Returns:
            whether there is one.
        """
        self._checkpoints = checkpoints
        if checkpoints is not None:
            self._unsaved = unsaved_state(self.step.model)
        state = None if checkpoints is None else checkpoints.load(self.device)
        if state is None:
            return False
        load_state(self.step.model, state["model"])
        self.step.load_state_dict(state["step"])
        self.batches.load_state_dict(state["batches"])
        self.best.load_state_dict(state["best"])
        self.curve, self.first_loss = state["curve"], state["first_loss"]
        self.period = _Period(**state["period"])
        restore_random_state(state["random"], self.device)
        return True

    def _due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self._checkpoints is not None and self._checkpoints.due()

    def _save_if_due(self) -> None:
        if self._checkpoints is None or not self._due():
            return
        assert self.period is not None
        if changed := changed_names(self._unsaved, unsaved_state(self.step.model)):
            self._checkpoints.give_up(
                f"the model changes {changed} in training, which is not in its state dict: "
                "use register_buffer"
            )
            return
        self._checkpoints.save(
            {
                "model": self.step.model.state_dict(),
                "step": self.step.state_dict(),
                "batches": self.batches.state_dict(),
                "best": self.best.state_dict(),
                "curve": self.curve,
                "first_loss": self.first_loss,
                "period": vars(self.period),
                "random": random_state(self.device),
            }
        )

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
            hint = (
                "the last batch of an epoch is a single sequence: leave it out with "
                "train.drop_last: true, or choose another train.batch_size"
            )
            if self.settings.get("batches") == "one_length":
                hint = "a batch is a single sequence of its length: choose another train.batches"
            raise PluginError(f"{reason_of(error)}; {hint}") from error

    def _notify(self, period: int, loss: float) -> None:
        self.notify(
            {
                "epoch": period,
                "epochs": len(self.periods),
                "step": self.step.count,
                "steps": self.periods.total,
                "train_loss": loss,
                **({"by": "steps"} if self.settings.get("steps") else {}),
            }
        )


def _raise_if_not_finite(losses: Tensor, first_step: int) -> None:
    """``losses`` belong to the steps from ``first_step`` on, counted from 1."""
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        position = int(bad[0])
        raise Diverged(first_step + position, f"{losses[position].item()}")


def _raise_if_nan(figure: float, steps: int) -> None:
    if math.isnan(figure):
        raise Diverged(steps, "nan", what="the model's answer")


def _finish(loop: _Loop, splits: PreparedSplits, meters: Sequence[Meter]) -> Trained:
    """Evaluate on the test split: at the last weights and, if others were better on validation, at
    those. The confusion matrix, and ``meters``, belong to the weights that are kept.
    """
    best, curve = loop.best, loop.curve
    primary, own = best.primary, own_metric(splits.task)
    confusion, parts = Confusion(splits.task), Parts(splits.test, primary.make)
    beside = BySet(splits.test, own.make)
    model, steps, device = loop.step.model, loop.step.count, loop.device
    if loop.measured is not model:
        load_state(model, loop.measured.state_dict())
    keeps_last = best.epoch is None or best.epoch == curve[-1]["epoch"]
    kept: Sequence[Meter] = [confusion, parts, *([] if primary.is_own else [beside]), *meters]
    at_last = kept if keeps_last else ()
    last = evaluate(model, splits.test, device=device, make=primary.make, meters=at_last)
    _raise_if_nan(last, steps)
    value = last
    if not keeps_last:
        best.restore(model, splits, device)
        value = evaluate(model, splits.test, device=device, make=primary.make, meters=kept)
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
    if not primary.is_own:
        metrics[own.name] = beside.value
    if loop.batches.padding is not None:
        metrics["padding"] = loop.batches.padding
    if loop.step.own_step is not None:
        metrics["training_step"] = True
    if muon := trained_by_muon(model, loop.settings["optimizer"]):
        metrics["muon"] = muon
    return Trained(metrics, curve)
