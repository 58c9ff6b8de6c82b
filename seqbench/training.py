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
from torch.nn import functional

from seqbench.errors import Diverged, PluginError
from seqbench.types import HIGHER_IS_BETTER, Splits, Task

EVALUATION_BATCH = 1000
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


def train(
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
            entry["validation"] = evaluate(model, *splits.validation, task=task, device=device)
            _raise_if_nan(entry["validation"], step.count)
            best.see(epoch, entry["validation"], model)
        entry["seconds"] = time.perf_counter() - started
        tell({"epoch": epoch, "epochs": settings["epochs"], **entry})
        curve.append({**entry, "steps": step.count})
    return _finish(model, splits, device, curve, best, step.count)


def evaluate(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, task: Task, device: torch.device
) -> float:
    """The task's metric over a whole split: share of right labels, or mean squared error.

    NaN if any answer is not finite: ``argmax`` would make a label of it.

    Args:
        inputs, targets: shaped as :class:`seqbench.Task` says, on any device.
    """
    training = model.training
    model.eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(inputs), EVALUATION_BATCH):
            x = inputs[start : start + EVALUATION_BATCH].to(device)
            y = targets[start : start + EVALUATION_BATCH].to(device)
            answer = model(x)
            _check_shape(answer, y, task)
            if not torch.isfinite(answer).all():
                return math.nan
            if task.target == "value":
                # In double precision, which not every device has.
                total += (answer.cpu().double() - y.cpu().double()).square().sum().item()
            else:
                total += (answer.argmax(-1) == y).sum().item()
            count += y.numel()
    model.train(training)
    return total / count


def loss_of(answer: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Cross-entropy for labels, mean squared error for values; a scalar.

    Raises:
        PluginError: the answer's shape is not what the task asks for.
    """
    _check_shape(answer, targets, task)
    if task.target == "value":
        return functional.mse_loss(answer, targets)
    return functional.cross_entropy(answer.flatten(0, -2), targets.flatten())


def _check_shape(answer: Tensor, targets: Tensor, task: Task) -> None:
    expected = (*targets.shape, task.output_size) if task.target != "value" else targets.shape
    if tuple(answer.shape) != tuple(expected):
        raise PluginError(
            f"the model returned shape {tuple(answer.shape)} where {tuple(expected)} was expected"
        )


class Step:
    """One step of the optimizer, with clipping and schedule; ``count`` of them were made.

    With ``precision`` bf16 the model runs under autocast; weights, loss and optimizer stay in fp32.
    """

    def __init__(
        self, model: nn.Module, task: Task, settings: Mapping[str, Any], steps_per_epoch: int
    ):
        self.model, self.task = model, task
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(self.parameters, settings["optimizer"])
        self.clip_norm = settings["clip_norm"]
        self.half = settings.get("precision", "fp32") == "bf16"
        self.schedule = _schedule(self.optimizer, settings, steps_per_epoch)
        self.count = 0

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = loss_of(self._answer(inputs), targets, self.task)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        self.count += 1
        return loss.detach()

    def _answer(self, inputs: Tensor) -> Tensor:
        if not self.half:
            answer: Tensor = self.model(inputs)
            return answer
        with torch.autocast(inputs.device.type, torch.bfloat16):
            answer = self.model(inputs)
        return answer.float()


def make_optimizer(
    parameters: list[nn.Parameter], choice: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """The torch optimizer called ``choice["name"]`` in any case, with ``choice["params"]``."""
    by_name = {name.lower(): name for name in dir(torch.optim)}
    kind = getattr(torch.optim, by_name[choice["name"]])
    optimizer: torch.optim.Optimizer = kind(parameters, **choice["params"])
    return optimizer


def _schedule(
    optimizer: torch.optim.Optimizer, settings: Mapping[str, Any], steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler | None:
    """The schedule, stepped once per optimizer step."""
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
        self.sign = 1 if HIGHER_IS_BETTER[task.metric] else -1
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
    device: torch.device,
    curve: list[dict[str, Any]],
    best: _Best,
    steps: int,
) -> Trained:
    last = evaluate(model, *splits.test, task=splits.task, device=device)
    _raise_if_nan(last, steps)
    metrics: dict[str, Any] = {
        "value": last,
        "last": last,
        "best": None,
        "best_epoch": None,
        "validation": None,
        "train_loss": curve[-1]["train_loss"],
        "steps": steps,
    }
    if best.epoch is not None:
        if best.epoch != curve[-1]["epoch"]:
            model.load_state_dict(best.state)
            metrics["value"] = evaluate(model, *splits.test, task=splits.task, device=device)
        metrics["best"] = metrics["value"]
        metrics["best_epoch"] = best.epoch
        metrics["validation"] = best.validation
    return Trained(metrics, curve)
