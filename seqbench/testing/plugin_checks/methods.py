"""The checks of plugins' losses, optimizers and schedules, on a tiny training."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.plugins.choice import Choice, to_json
from seqbench.testing.plugin_checks.candidate import FEATURES, LENGTH
from seqbench.testing.plugin_checks.declaring import declares_lightly
from seqbench.testing.plugin_checks.metrics import sample
from seqbench.testing.plugin_checks.process_state import ProcessState, check_unchanged
from seqbench.testing.plugin_checks.results import Check, Violation, Warned
from seqbench.training.losses import Loss, plugins_loss
from seqbench.training.optimizers import make_optimizer
from seqbench.training.schedules import make_schedule
from seqbench.types import Task

#: Steps of a tiny training, and of an epoch in it.
STEPS, EPOCH = 40, 10

#: The learning rate that a schedule changes.
RATE = 0.1

SGD = {"name": "sgd", "params": {"lr": RATE}}


@dataclass(frozen=True)
class MethodCandidate:
    """A loss, optimizer or schedule to check.

    Args:
        kind: ``loss``, ``optimizer`` or ``schedule``.
        choice: with all its parameters.
        targets: of a loss: what the targets are that it declares.
    """

    kind: str
    choice: Choice
    targets: Sequence[str] = ()

    @cached_property
    def before(self) -> ProcessState:
        """The state of the process before any of the plugin's code ran."""
        return ProcessState.now()

    @property
    def chosen(self) -> dict[str, Any]:
        """As the settings of a training have it."""
        _ = self.before
        return {**to_json(self.choice), "targets": list(self.targets)}

    def losses(self) -> list[tuple[Loss, Tensor, Tensor]]:
        """For each kind of target the loss, answers and targets."""
        found = []
        for target in self.targets:
            task = Task("features", FEATURES, target, 3, LENGTH)  # type: ignore[arg-type]
            answers, targets = sample(task)
            if target == "labels":
                targets = targets.to(torch.uint8)
            found.append((Loss(task, plugins_loss(self.chosen, task)), answers, targets))
        return found

    def trained(self, steps: int, state: Mapping[str, Any] | None = None) -> Training:
        """A tiny training with the optimizer or schedule, continued from ``state``."""
        training = Training(**{self.kind: self.chosen})
        if state is not None:
            training.load_state_dict(state)
        for _ in range(steps):
            training.step()
        return training


class Training:
    """A tiny network that learns to add, with the optimizer or schedule of a plugin.

    Args:
        optimizer: default: plain gradient descent.
        schedule: its schedule, if any.
    """

    def __init__(
        self, optimizer: Mapping[str, Any] = SGD, schedule: Mapping[str, Any] | None = None
    ):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
        self.x = torch.randn(32, 4)
        self.optimizer = make_optimizer(self.model, optimizer)
        self.schedule = make_schedule(self.optimizer, schedule, epoch=EPOCH, total=STEPS)
        self.losses: list[float] = []
        self.rates: list[float] = []

    def step(self) -> None:
        """One step; the loss before it, and its learning rate, are noted."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.mse_loss(self.model(self.x), self.x.sum(1, keepdim=True))
        loss.backward()  # type: ignore[no-untyped-call]
        self.rates.append(float(self.optimizer.param_groups[0].get("lr", math.nan)))
        self.optimizer.step()
        self.schedule.step()
        self.losses.append(loss.item())

    def state_dict(self) -> dict[str, Any]:
        """As a checkpoint has it, written and read."""
        parts: dict[str, Any] = {
            "model": self.model,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }
        file = io.BytesIO()
        torch.save({name: part.state_dict() for name, part in parts.items()}, file)
        file.seek(0)
        found: dict[str, Any] = torch.load(file, weights_only=True)
        return found

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load what :meth:`state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])

    def weights(self) -> list[Tensor]:
        """All parameters."""
        return [parameter.detach().clone() for parameter in self.model.parameters()]


def _imports_no_torch(candidate: MethodCandidate) -> None:
    declares_lightly(candidate.choice)


def _globals(candidate: MethodCandidate) -> None:
    if remark := check_unchanged(candidate.before, candidate.choice):
        raise Warned(remark)


def _gives_a_loss(candidate: MethodCandidate) -> str:
    found = []
    for loss, answers, targets in candidate.losses():
        value = loss(answers, targets).item()
        if not math.isfinite(value):
            raise Violation("a finite loss", f"{value:g}", f"targets {loss.task.target!r}")
        found.append(f"{loss.task.target}: {value:.3g}")
    return "; ".join(found)


def _rows_alone(candidate: MethodCandidate) -> None:
    """The mean over what counts needs the loss of each row alone."""
    for loss, answers, targets in candidate.losses():
        whole = loss.function(answers, targets, reduction="none")
        part = loss.function(answers[:7], targets[:7], reduction="none")
        if not torch.allclose(whole[:7], part, rtol=1e-4, atol=1e-6):
            raise Violation(
                "the loss of a row that depends on this row alone",
                "another one for the first 7 rows without the others: seqbench leaves out rows "
                "that do not count, and takes the mean",
                f"targets {loss.task.target!r}",
            )


def _loss_falls(candidate: MethodCandidate) -> str:
    found = ""
    for loss, answers, targets in candidate.losses():
        answers.requires_grad_()
        optimizer, values = torch.optim.Adam([answers], lr=0.05), []
        for _ in range(STEPS):
            optimizer.zero_grad()
            value = loss(answers, targets)
            value.backward()  # type: ignore[no-untyped-call]
            if answers.grad is None or not bool(torch.isfinite(answers.grad).all()):
                raise Violation("finite gradients", "NaN, infinity or none", loss.task.target)
            optimizer.step()
            values.append(value.item())
        if not values[-1] < values[0]:
            got = f"{values[0]:.4g} at first, {values[-1]:.4g} after {STEPS} steps"
            raise Violation("a loss that falls along its gradient", got, loss.task.target)
        found = f"from {values[0]:.3g} to {values[-1]:.3g}"
    return found


def _changes_weights(candidate: MethodCandidate) -> None:
    pairs = zip(candidate.trained(0).weights(), candidate.trained(3).weights(), strict=True)
    for before, after in pairs:
        if not bool(torch.isfinite(after).all()):
            raise Violation("finite weights", "NaN or infinity after 3 steps")
        if torch.equal(before, after):
            shape = tuple(before.shape)
            raise Violation("weights that change", f"those of shape {shape} are as before")


def _takes_groups(candidate: MethodCandidate) -> None:
    """As for ``train.groups``, and for schedules, which change ``lr`` of each group."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1))
    lr = candidate.choice.params.get("lr")
    other = {"lr": lr / 2} if isinstance(lr, float) else {}
    optimizer = make_optimizer(model, candidate.chosen, {"*bias*": other})
    rates = [group.get("lr") for group in optimizer.param_groups]
    if len(rates) != 2 or (other and rates != [lr, other["lr"]]):
        raise Violation("a group with the learning rate given for it", f"lr: {rates}")


def _learns(candidate: MethodCandidate) -> str:
    losses = candidate.trained(5 * STEPS).losses
    found = f"from {losses[0]:.3g} to {losses[-1]:.3g} in {5 * STEPS} steps"
    if not math.isfinite(losses[-1]):
        raise Violation("a finite loss", found)
    if losses[-1] >= losses[0]:
        raise Warned(f"with these parameters the loss of a tiny training does not fall: {found}")
    return found


def _continues(candidate: MethodCandidate) -> None:
    """As after a kill: from the state written by then, in a new process."""
    half = candidate.trained(STEPS // 2)
    state = half.state_dict()
    again = candidate.trained(STEPS - STEPS // 2, state)
    whole = candidate.trained(STEPS)
    same = all(map(torch.equal, again.weights(), whole.weights()))
    if not same or again.losses != whole.losses[STEPS // 2 :]:
        raise Violation(
            "the same bits when a training continues from a checkpoint",
            "others: state_dict() does not hold all state, or load_state_dict() does not restore "
            "all of it",
        )


def _gives_rates(candidate: MethodCandidate) -> str:
    rates = candidate.trained(STEPS).rates
    if not all(math.isfinite(rate) and rate >= 0 for rate in rates):
        raise Violation("finite learning rates from 0 on", f"{rates}")
    return f"for a rate of {RATE:g}: {min(rates):.3g} to {max(rates):.3g}"


def _warms_up(candidate: MethodCandidate) -> None:
    chosen = candidate.chosen
    warm = {**chosen, "params": {**chosen["params"], "warmup": EPOCH}}
    try:
        training = Training(schedule=warm)
    except Exception as error:
        raise Warned(f"train.schedule cannot give it a warm-up: {error}") from error
    for _ in range(EPOCH):
        training.step()
    first = training.rates[0]
    if not math.isclose(first * EPOCH, training.rates[-1], rel_tol=1e-4):
        raise Violation(f"{EPOCH} steps of linear increase", f"{training.rates}")


_IMPORT = Check("import", "its declaration imports no torch", _imports_no_torch)

_GLOBALS = Check("globals", "the global state of the process is unchanged", _globals)

_STATE = Check("state", "a training continues from a checkpoint with the same bits", _continues)

LOSS_CHECKS = (
    _IMPORT,
    Check("loss", "it gives the loss of each row, or of each output", _gives_a_loss, needed=True),
    Check("rows", "the loss of a row depends on this row alone", _rows_alone),
    Check("falls", "it falls along its gradient", _loss_falls),
    _GLOBALS,
)

OPTIMIZER_CHECKS = (
    _IMPORT,
    Check("step", "its steps change all weights", _changes_weights, needed=True),
    Check("groups", "groups of weights have parameters of their own", _takes_groups),
    _STATE,
    Check("learns", "the loss falls on a tiny task", _learns),
    _GLOBALS,
)

SCHEDULE_CHECKS = (
    _IMPORT,
    Check("rates", "it sets a learning rate for each step", _gives_rates, needed=True),
    _STATE,
    Check("warmup", "it can begin after a warm-up", _warms_up),
    _GLOBALS,
)
