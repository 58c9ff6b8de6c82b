"""One training run: same seed, same bits, whatever runs beside it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import Diverged
from seqbench.quantities import find
from seqbench.training.confusion import Confusion
from seqbench.training.evaluation import evaluate
from seqbench.training.step import Step
from seqbench.types import Splits, Task

#: An epoch whose mean loss is this many times the loss before the first step has exploded.
EXPLOSION = 100.0

#: How often the loss is looked at: each look waits for the device.
LOOK_EVERY_STEPS = 50

TELL_EVERY_SECONDS = 0.25

Tell = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Trained:
    """What a training gave, beside the model's weights."""

    metrics: dict[str, Any]
    curve: list[dict[str, Any]]


def train_model(
    model: nn.Module,
    splits: Splits,
    settings: Mapping[str, Any],
    *,
    device: torch.device,
    seed: int,
    tell: Tell = lambda message: None,
) -> Trained:
    """Trains ``model`` in place and leaves it with the weights that ``metrics["value"]`` is of.

    The test split is measured once at the last weights and, where there is a validation split,
    once at the weights that were best on it; choosing happens on validation only.

    Args:
        model: on ``device``.
        splits: on the CPU; moved to ``device`` once.
        settings: ``epochs``, ``batch_size``, ``optimizer``, ``schedule``, ``clip_norm``,
            ``precision`` (fp32 if it is not there).
        seed: decides on the order of the data (and, set by the caller, on the first weights).
        tell: called with progress as plain data.

    Raises:
        Diverged: the loss became NaN or infinite, or exploded.
        PluginError: the model's answer has the wrong shape.
    """
    task = splits.task
    inputs, targets = (tensor.to(device) for tensor in splits.train)
    steps_per_epoch = math.ceil(len(inputs) / settings["batch_size"])
    step = Step(model, task, settings, steps_per_epoch)
    order = torch.Generator().manual_seed(seed)
    best = _Best(task)
    curve: list[dict[str, Any]] = []
    first_loss = math.inf
    for epoch in range(1, settings["epochs"] + 1):
        started = time.perf_counter()
        model.train()
        indices = torch.randperm(len(inputs), generator=order).to(device)
        losses = _epoch(step, inputs, targets, indices, epoch, settings, tell).cpu()
        entry: dict[str, Any] = {"epoch": epoch, "train_loss": losses.double().mean().item()}
        first_loss = losses[0].item() if epoch == 1 else first_loss
        _raise_if_exploded(entry["train_loss"], first_loss, step.count)
        if splits.validation is not None:
            entry["validation"] = evaluate(model, splits.validation, task=task, device=device)
            _raise_if_nan(entry["validation"], step.count)
            best.see(epoch, entry["validation"], model)
        entry["seconds"] = time.perf_counter() - started
        tell({"epoch": epoch, "epochs": settings["epochs"], **entry})
        curve.append({**entry, "steps": step.count})
    return _finish(model, splits, device=device, curve=curve, best=best, steps=step.count)


def _epoch(
    step: Step,
    inputs: Tensor,
    targets: Tensor,
    indices: Tensor,
    epoch: int,
    settings: Mapping[str, Any],
    tell: Tell,
) -> Tensor:
    """Runs over the data once; returns the loss of every step."""
    batches = torch.split(indices, settings["batch_size"])
    losses = torch.zeros(len(batches), device=inputs.device)
    looked, told = 0, 0.0
    for number, batch in enumerate(batches):
        # Sooner than inputs[batch].
        losses[number] = step(inputs.index_select(0, batch), targets.index_select(0, batch))
        if (number + 1) % LOOK_EVERY_STEPS and number + 1 < len(batches):
            continue
        _raise_if_not_finite(losses[looked : number + 1], step.count - (number - looked))
        looked = number + 1
        if time.monotonic() - told > TELL_EVERY_SECONDS:
            told = time.monotonic()
            tell(
                {
                    "epoch": epoch,
                    "epochs": settings["epochs"],
                    "step": step.count,
                    "steps": len(batches) * settings["epochs"],
                    "train_loss": losses[number].item(),
                }
            )
    return losses


def _raise_if_not_finite(losses: Tensor, first_step: int) -> None:
    """``losses`` are those of the steps from ``first_step`` on, counted from 1."""
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        position = int(bad[0])
        raise Diverged(first_step + position, f"{losses[position].item()}")


def _raise_if_exploded(loss: float, first: float, steps: int) -> None:
    """``first`` is the loss before the first step: what the untrained model has."""
    if loss > EXPLOSION * max(first, 1e-3):
        raise Diverged(steps, f"{loss:.3g}, from {first:.3g} at the start,", what="the mean loss")


def _raise_if_nan(figure: float, steps: int) -> None:
    if math.isnan(figure):
        raise Diverged(steps, "nan", what="the model's answer")


class _Best:
    """Remembers the weights that were best on validation; the earliest of equals."""

    def __init__(self, task: Task):
        self.sign = 1 if find(task.metric).higher_is_better else -1
        self.epoch: int | None = None
        self.validation = 0.0
        self.state: dict[str, Tensor] = {}

    def see(self, epoch: int, validation: float, model: nn.Module) -> None:
        if self.epoch is None or self.sign * (validation - self.validation) > 0:
            self.epoch, self.validation = epoch, validation
            self.state = copy.deepcopy(model.state_dict())


def _finish(
    model: nn.Module,
    splits: Splits,
    *,
    device: torch.device,
    curve: list[dict[str, Any]],
    best: _Best,
    steps: int,
) -> Trained:
    """Evaluates on the test split: at the last weights and, if others were better on validation, at
    those. The confusion matrix is that of the weights that are kept.
    """
    task, confusion = splits.task, Confusion(splits.task)
    keeps_last = best.epoch is None or best.epoch == curve[-1]["epoch"]
    meters = [confusion] if keeps_last else []
    last = evaluate(model, splits.test, task=task, device=device, meters=meters)
    _raise_if_nan(last, steps)
    value = last
    if not keeps_last:
        model.load_state_dict(best.state)
        value = evaluate(model, splits.test, task=task, device=device, meters=[confusion])
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
