"""Models with known cost, (batch, time, 28) → (batch, 10), and data for them."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from seqbench.types import DataContext, Splits, Task

TASK = Task("features", 28, "label", 10, length=6)

SEQUENCES = 1000


def noise(context: DataContext) -> Splits:
    """Fixed random sequences with random labels."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(SEQUENCES, TASK.length, TASK.input_size, generator=generator)
    split = inputs, torch.randint(TASK.output_size, (SEQUENCES,), generator=generator)
    return Splits(TASK, split, split)


class Elman(nn.Module):
    """A recurrent network of ``steps`` equal steps: 105 steps take 5 % longer than 100."""

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
    """Busy-waits for ``seconds``, independent of the machine."""

    def __init__(self, task: Task, seconds: float):
        super().__init__()
        self.seconds, self.outputs = seconds, task.output_size

    def forward(self, x: Tensor) -> Tensor:
        until = time.perf_counter() + self.seconds
        answer = x[:, 0, : self.outputs]  # before waiting, so that it takes no extra time
        while time.perf_counter() < until:
            pass
        return answer


class Allocating(nn.Module):
    """Uses ``mebibytes`` in equal blocks to the end of the forward pass, or only at its beginning.

    Allocators treat small blocks differently from large ones.
    """

    def __init__(self, task: Task, mebibytes: int, to_the_end: bool, blocks: int = 1):
        super().__init__()
        self.readout = nn.Linear(task.input_size, task.output_size)
        self.floats, self.to_the_end = mebibytes * 2**20 // 4, to_the_end
        self.blocks = blocks

    def forward(self, x: Tensor) -> Tensor:
        size = self.floats // self.blocks
        held = [torch.ones(size, device=x.device) for _ in range(self.blocks)]
        if not self.to_the_end:
            held.clear()
        answer: Tensor = self.readout(x[:, 0])
        return answer
