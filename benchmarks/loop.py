"""What seqbench's training loop costs compared with bare steps on batches in memory.

    python benchmarks/loop.py --rounds 5

Bare steps (bare_steps.py) and seqbench are interleaved, one epoch over the same order each, in CPU
time of this process, which depends less on other load. Prints the ratio of the medians for each
model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from bare_steps import bare
from torch import Tensor, nn
from usual_script import BATCH, MODELS, Classifier

from seqbench import Task
from seqbench.training.job import keep_freed_memory
from seqbench.training.loop import train_model
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Split

TASK = Task("features", 28, "label", 10, 28)
SETTINGS: dict[str, Any] = {
    "epochs": 1,
    "batch_size": BATCH,
    "optimizer": {"name": "sgd", "params": {"lr": 0.01}},
    "schedule": None,
    "clip_norm": None,
}
SEED = 0


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    keep_freed_memory()
    draw = torch.Generator().manual_seed(SEED)
    x = torch.rand(options.sequences, 28, 28, generator=draw)
    y = torch.randint(0, 10, (options.sequences,), generator=draw)
    print("| model | bare, s | seqbench, s | ratio |")
    print("|---|---:|---:|---:|")
    for name in options.models:
        theirs, ours = compare(name, x, y, options.rounds)
        print(f"| {name} | {theirs:.2f} | {ours:.2f} | {ours / theirs:.3f} |", flush=True)


def compare(name: str, x: Tensor, y: Tensor, rounds: int) -> tuple[float, float]:
    """Median CPU seconds of an epoch: bare, and seqbench's."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(SEED))
    parts = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    batches = [(x[part], y[part]) for part in parts]
    splits = PreparedSplits(TASK, Split(TASK, x, y), Split(TASK, x[:BATCH], y[:BATCH]))
    theirs, ours = [], []
    for number in range(rounds + 1):
        times = (
            _seconds(lambda: bare(Classifier(name), batches)),
            _seconds(lambda: _seqbench(Classifier(name), splits)),
        )
        if number:  # the first is a warm-up
            theirs.append(times[0])
            ours.append(times[1])
    return median(theirs), median(ours)


def _seqbench(model: nn.Module, splits: PreparedSplits) -> None:
    train_model(model, splits, SETTINGS, device=torch.device("cpu"), seed=SEED)


def _seconds(work: Callable[[], None]) -> float:
    torch.manual_seed(SEED)
    started = time.process_time()
    work()
    return time.process_time() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sequences", type=int, default=60_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
