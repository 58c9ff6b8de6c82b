"""Learning rate schedules: torch's, after a linear warm-up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.optim import lr_scheduler

from seqbench.errors import PluginError, UsageError
from seqbench.plugins.loading import check_call
from seqbench.training.methods import is_plugins, load_method, named

Optimizer = torch.optim.Optimizer


class ByStep(Protocol):
    """What is stepped after every optimizer step: an ``LRScheduler``, or a plugin's object."""

    def step(self) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Schedule:
    """What changes the learning rate: after each step, and after each evaluation.

    Args:
        by_step: stepped after every optimizer step, if any.
        plateau: stepped with the validation loss of each evaluation, if any.
    """

    by_step: ByStep | None = None
    plateau: lr_scheduler.ReduceLROnPlateau | None = None

    def step(self) -> None:
        """After an optimizer step."""
        if self.by_step is not None:
            self.by_step.step()

    def state_dict(self) -> list[dict[str, Any] | None]:
        """As plain data."""
        return [None if one is None else one.state_dict() for one in (self.by_step, self.plateau)]

    def load_state_dict(self, state: list[dict[str, Any] | None]) -> None:
        """Load what :meth:`state_dict` returned."""
        for one, own in zip((self.by_step, self.plateau), state, strict=True):
            if one is not None:
                one.load_state_dict(own)  # type: ignore[arg-type]

    def evaluated(self, loss: float) -> None:
        """After an evaluation on the validation split."""
        if self.plateau is not None:
            self.plateau.step(loss)


class _Plateau(lr_scheduler.ReduceLROnPlateau):
    """Torch's, whose relative threshold is of the wrong sign for a negative loss."""

    def _is_better(self, a: float, best: float) -> bool:
        if best >= 0:
            return bool(super()._is_better(a, best))  # type: ignore[no-untyped-call]
        return bool(a < best - self.threshold * abs(best))


def make_schedule(
    optimizer: Optimizer, chosen: Mapping[str, Any] | None, *, epoch: int, total: int
) -> Schedule:
    """The schedule that a suite names.

    The learning rate at step t (from 0) of a warm-up of w steps is (t + 1) / w of the optimizer's;
    the schedule itself begins after it, and ends with the training.

    Args:
        chosen: ``name`` and ``params``; None for none.
        epoch: steps of an epoch.
        total: steps of the training.
    """
    if chosen is None:
        return Schedule()
    if is_plugins(chosen):
        return Schedule(_plugins(optimizer, chosen, epoch=epoch, total=total))
    name, params = chosen["name"], dict(chosen["params"])
    warmup = params.pop("warmup", 0)
    if name == "inverse_sqrt":
        return Schedule(lr_scheduler.LambdaLR(optimizer, lambda t: _inverse_sqrt(t, warmup)))
    if warmup > total:
        raise UsageError(
            f"train.schedule: {name}: a warmup of {warmup:,} steps is longer than the training, "
            f"which has {total:,}"
        )
    if name in ("constant", "plateau"):
        plateau = _Plateau(optimizer, **params) if name == "plateau" else None
        return Schedule(_warmup(optimizer, warmup) if warmup > 1 else None, plateau)
    if warmup <= 1:  # the first step already has the whole rate
        return Schedule(_main(optimizer, name, params, epoch=epoch, total=total))
    first = _warmup(optimizer, warmup)
    rest = _main(optimizer, name, params, epoch=epoch, total=max(total - warmup, 1))
    return Schedule(lr_scheduler.SequentialLR(optimizer, [first, rest], milestones=[warmup]))


def _plugins(optimizer: Optimizer, chosen: Mapping[str, Any], *, epoch: int, total: int) -> ByStep:
    """A schedule from a plugin, after a warm-up if there is one."""
    choice, build = load_method(chosen)
    params = dict(choice.params)
    warmup = params.pop("warmup")
    first = _warmup(optimizer, warmup) if warmup > 1 else None
    steps = total if first is None else max(total - warmup, 1)
    given = {**params, "steps": steps, "steps_per_epoch": epoch}
    check_call(choice, build, optimizer, **given)
    schedule: Any = build(optimizer, **given)
    needed = ("step", "state_dict", "load_state_dict")
    lacking = [name for name in needed if not callable(getattr(schedule, name, None))]
    what = f"{named(choice)}: {choice.import_path} returned {type(schedule).__name__}"
    if lacking:
        raise PluginError(f"{what}, which has no {lacking[0]}()")
    if first is None:
        return schedule  # type: ignore[no-any-return]
    if not isinstance(schedule, lr_scheduler.LRScheduler):
        raise PluginError(f"{what}, but warmup needs a torch.optim.lr_scheduler.LRScheduler")
    return lr_scheduler.SequentialLR(optimizer, [first, schedule], milestones=[warmup])


def _warmup(optimizer: Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.LinearLR(optimizer, start_factor=1 / steps, total_iters=steps - 1)


def _inverse_sqrt(step: int, warmup: int) -> float:
    """Vaswani et al. 2017, section 5.3, with 1 at the end of the warm-up."""
    return min((step + 1) / warmup, math.sqrt(warmup / (step + 1)))


def _main(
    optimizer: Optimizer, name: str, params: dict[str, Any], *, epoch: int, total: int
) -> lr_scheduler.LRScheduler:
    """A schedule without its warm-up."""
    if name == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, T_max=total, **params)
    if name == "cosine_restarts":
        params["T_0"] *= epoch
        return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, **params)
    if name == "cyclic":
        up = max(round(params.pop("step_size_up") * epoch), 1)
        return lr_scheduler.CyclicLR(optimizer, step_size_up=up, **params)
    if name == "one_cycle":
        return lr_scheduler.OneCycleLR(optimizer, total_steps=total, **params)
    if name == "linear":
        return lr_scheduler.LinearLR(optimizer, start_factor=1.0, total_iters=total, **params)
    if name == "polynomial":
        return lr_scheduler.PolynomialLR(optimizer, total_iters=total, **params)
    if name == "step":
        return lr_scheduler.StepLR(optimizer, params["step_size"] * epoch, params["gamma"])
    if name == "exponential":
        return lr_scheduler.StepLR(optimizer, epoch, params["gamma"])
    if name == "multi_step":
        milestones = [round(number * epoch) for number in params["milestones"]]
        return lr_scheduler.MultiStepLR(optimizer, milestones, params["gamma"])
    raise ValueError(f"unknown schedule {name!r}")
