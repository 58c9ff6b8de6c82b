"""Models whose cost is known beforehand. Encoders: (batch, time, width) → (batch, time, hidden)."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from seqbench.types import DataContext, Splits, Task

TASK = Task("features", 28, "label", 10, length=6)


def noise(context: DataContext) -> Splits:
    """Random sequences with random labels."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(256, TASK.length, TASK.input_size, generator=generator)
    split = inputs, torch.randint(TASK.output_size, (256,), generator=generator)
    return Splits(TASK, split, split)


class Elman(nn.Module):
    """A recurrent net of ``steps`` equal steps: 105 of them take 5 % longer than 100.

    A whole model, so that nothing comes on top: (batch, time, 28) → (batch, 10).
    """

    def __init__(self, task: Task, steps: int, hidden_size: int = 64):
        super().__init__()
        self.recurrent = nn.Parameter(torch.randn(hidden_size, hidden_size) / hidden_size**0.5)
        self.steps, self.outputs = steps, task.output_size

    def forward(self, x: Tensor) -> Tensor:
        hidden = x.new_ones(len(x), len(self.recurrent))
        for _ in range(self.steps):
            hidden = torch.tanh(hidden @ self.recurrent)
        return hidden[:, : self.outputs]


class Spinning(nn.Module):
    """Takes ``seconds`` by the clock, whatever the machine."""

    def __init__(self, input_size: int, seconds: float):
        super().__init__()
        self.seconds = seconds

    def forward(self, x: Tensor) -> Tensor:
        until = time.perf_counter() + self.seconds
        while time.perf_counter() < until:
            pass
        return x


class Allocating(nn.Module):
    """Has ``mebibytes`` in use for a moment, and gives them back before it answers."""

    def __init__(self, input_size: int, mebibytes: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.floats = mebibytes * 2**20 // 4

    def forward(self, x: Tensor) -> Tensor:
        torch.ones(self.floats, device=x.device)
        return x * self.scale
