"""The model to check, and small inputs for every kind of task."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.devices.registry import device_for
from seqbench.plugins.choice import Choice
from seqbench.testing.plugin_checks.process_state import ProcessState
from seqbench.training.model import build_model
from seqbench.types import TASK_KINDS, Task

FEATURES, VOCABULARY, CLASSES, LENGTH = 3, 7, 4, 6

#: Standard deviation of what is added to the weights, so that gates that are zero at first open.
NUDGE = 0.1


@dataclass(frozen=True)
class Candidate:
    """A model to check.

    Args:
        choice: the model with all its parameters.
        kinds: the kinds of task that it declares, for example ``"features/label"``.
        device_name: the device to check it on, by its name in suites.
    """

    choice: Choice
    kinds: tuple[str, ...] = TASK_KINDS
    device_name: str = "cpu"

    def tasks(self) -> Iterator[tuple[str, Task]]:
        """Each kind of task, with a small task of that kind."""
        for kind in self.kinds:
            yield kind, task_of(kind)

    def model(self, task: Task, seed: int = 0, **params: Any) -> nn.Module:
        """A new model with the weights of ``seed``, on the device, in evaluation mode."""
        _ = self.before
        torch.manual_seed(seed)
        choice = replace(self.choice, params={**self.choice.params, **params})
        return build_model(choice, task).to(self.device).eval()

    @cached_property
    def device(self) -> torch.device:
        return device_for(self.device_name).torch_device(self.device_name)

    @cached_property
    def before(self) -> ProcessState:
        """The state of the process before any of the plugin's code ran."""
        return ProcessState.now()

    @cached_property
    def accepted(self) -> dict[tuple[str, int, int], bool]:
        """Kind of task, batch size and length, and whether the model accepts them."""
        return {}

    def inputs(self, task: Task, batch: int = 2, length: int = LENGTH, seed: int = 0) -> Tensor:
        """Random inputs, the same for the same ``seed``: (batch, length[, features])."""
        draw = torch.Generator().manual_seed(seed)
        if task.input == "tokens":
            x = torch.randint(0, VOCABULARY, (batch, length), generator=draw)
        else:
            x = torch.randn(batch, length, FEATURES, generator=draw)
        return x.to(self.device)

    def targets(self, task: Task, batch: int = 2, length: int = LENGTH, seed: int = 0) -> Tensor:
        """Random targets of the shape and type that :class:`Task` says."""
        draw = torch.Generator().manual_seed(seed)
        shape = (batch, length) if task.per_step else (batch,)
        if task.target_type == "label":
            return torch.randint(0, task.output_size, shape, generator=draw).to(self.device)
        shape = (*shape, task.output_size)
        if task.target_type == "labels":
            return torch.randint(0, 2, shape, generator=draw, dtype=torch.uint8).to(self.device)
        return torch.randn(shape, generator=draw).to(self.device)


def task_of(kind: str, length: int = LENGTH) -> Task:
    """A small task of a kind such as ``"tokens/label"``."""
    inputs, _, target = kind.partition("/")
    size = VOCABULARY if inputs == "tokens" else FEATURES
    return Task(inputs, size, target, CLASSES, length)  # type: ignore[arg-type]


def nudged(model: nn.Module) -> nn.Module:
    """A copy with other weights: initial ones may hide what an answer depends on."""
    nudged, draw = copy.deepcopy(model), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in nudged.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=draw)
                parameter.add_(NUDGE * noise.to(parameter.device, parameter.dtype))
    return nudged


def example(x: Tensor) -> str:
    """An input in words: its shape, and its values if they are few."""
    text = f"an input of shape {tuple(x.shape)}"
    return f"{text}: {x.tolist()}" if x.numel() <= 2 * FEATURES else text


def unequal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors in which two state dicts differ."""
    return [name for name in one if not torch.equal(one[name], other[name])]
