"""Seconds of a bare training step of each of the four models, on one thread.

    python benchmarks/bare_steps.py --steps 300

Bare: zero_grad, forward, loss, backward, step on batches in memory, with nothing evaluated. Memory
that a step frees is kept for the next one, as in seqbench. The last line on stdout is JSON: seconds
by model, the median of ten parts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional
from usual_script import BATCH, MODELS, Classifier

from seqbench.training.job import keep_freed_memory

PARTS = 10
Batches = Sequence[tuple[Tensor, Tensor]]


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_freed_memory()
    x, y = torch.rand(BATCH, 28, 28), torch.randint(0, 10, (BATCH,))
    batches = [(x, y)] * max(1, options.steps // PARTS)
    print(json.dumps({name: _seconds(Classifier(name), batches) for name in MODELS}))


def _seconds(model: nn.Module, batches: Batches) -> float:
    times = []
    for _ in range(PARTS + 1):
        started = time.perf_counter()
        bare(model, batches)
        times.append((time.perf_counter() - started) / len(batches))
    return median(times[1:])  # the first is a warm-up


def bare(model: nn.Module, batches: Batches) -> None:
    """One step of plain SGD on each of the batches."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for x, y in batches:
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300, help="per model")
    return parser.parse_args()


if __name__ == "__main__":
    main()
