"""What a checkpoint costs at the default interval, as a fraction of the time of training.

    python benchmarks/checkpoints.py

Times how long it takes to save the state of a training with Adam and a best epoch (four times the
weights) for LSTMs of several sizes, on the disk of the folder for temporary files, and to look
whether it is time to save.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from seqbench import Task
from seqbench.suite.keys import Training
from seqbench.training.checkpoints import Checkpoints
from seqbench.training.loop import train_model
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Split

TASK = Task("features", 8, "label", 2, 4)

#: Widths of an LSTM.
SIZES = (128, 1_000, 3_000)


class Timed(Checkpoints):
    """Saves at every opportunity, and notes how long that took."""

    def __init__(self, path: Path):
        super().__init__(path, 0.0, "")
        self.seconds: list[float] = []

    def save(self, state: dict[str, Any]) -> None:
        started = time.perf_counter()
        super().save(state)
        self.seconds.append(time.perf_counter() - started)


class Classifier(nn.Module):
    def __init__(self, hidden: int):
        super().__init__()
        self.network = nn.LSTM(8, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 2)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.network(x)[0][:, -1])
        return answer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--saves", type=int, default=9)
    options = parser.parse_args()
    every = Training().checkpoint
    assert every is not None
    x, y = torch.randn(8, 4, 8), torch.arange(8) % 2
    split = Split(TASK, x, y)
    settings = {**Training(epochs=options.saves + 1).resolved(), "batch_size": 8}
    print(f"| parameters | file, MB | save, s | of {every:g} s |")
    print("|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for hidden in SIZES:
            file = Path(folder) / f"{hidden}.pt"
            model, checkpoints = Classifier(hidden), Timed(file)
            train_model(
                model, PreparedSplits(TASK, split, split, split), settings,
                device=torch.device("cpu"), seed=0, checkpoints=checkpoints,
            )  # fmt: skip
            count = sum(p.numel() for p in model.parameters())
            took, size = median(checkpoints.seconds), file.stat().st_size / 1e6
            print(f"| {count:,} | {size:.1f} | {took:.3f} | {100 * took / every:.3f} % |")
    never = Checkpoints(Path("never"), 1e9, "")
    started = time.perf_counter()
    for _ in range(100_000):
        never.due()
    looked = (time.perf_counter() - started) / 100_000
    print(f"\nLooking whether it is time: {1e6 * looked:.2f} µs, every 50 steps.")


if __name__ == "__main__":
    main()
