"""Training on sequences of unequal length: what padding, batches and seqbench itself cost.

For each model, an epoch of plain PyTorch steps on ready-made batches of similar length, by packed
sequences and by padded ones, beside seqbench's own training on the same batches; and seqbench on
the same sequences padded to the longest of all. They alternate in one process; figures are medians
of CPU seconds.

    python benchmarks/lengths.py
    python benchmarks/lengths.py --dataset PickupGestureWiimoteZ --batch 5     # needs aeon
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence

from seqbench.plugins.choice import Choice
from seqbench.training.batches import batches_of
from seqbench.training.data_checks import checked_splits
from seqbench.training.job import keep_freed_memory
from seqbench.training.loop import train_model
from seqbench.training.model import build_model
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Batch
from seqbench.types import Splits, Task

MODELS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
HIDDEN, SEED, CPU = 64, 0, torch.device("cpu")


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    keep_freed_memory()
    x, y = _data(options.dataset, options.sequences)
    lengths = [len(one) for one in x]
    splits, padded = _splits(x, y), _splits(_padded(x), y)
    batches = batches_of(
        splits, {"batch_size": options.batch}, device=torch.device("cpu"), seed=SEED
    )
    ready = list(batches.epoch())
    print(
        f"{options.dataset or 'generated'}: {len(x):,} sequences of {min(lengths)} to "
        f"{max(lengths)} steps, mean {np.mean(lengths):.0f}; batches of {options.batch}, "
        f"padding {batches.padding:.1%}\n"
    )
    whole = list(batches_of(padded, {"batch_size": options.batch}, device=CPU, seed=SEED).epoch())
    print(
        "| model | packed | padded | seqbench | ÷ faster | padded to the longest | ÷ seqbench | "
        "the same, bare |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name in options.models:
        found = _times(name, (ready, whole), splits, padded, options)
        packed, sorted_, ours, longest, bare = found
        best = min(packed, sorted_)
        print(
            f"| {name} | {packed:.3f} s | {sorted_:.3f} s | {ours:.3f} s | {ours / best:.3f} | "
            f"{longest:.3f} s | {longest / ours:.2f} | {bare / sorted_:.2f} |",
            flush=True,
        )


def _times(
    name: str,
    ready: tuple[list[Batch], list[Batch]],
    splits: PreparedSplits,
    padded: PreparedSplits,
    options: argparse.Namespace,
) -> list[float]:
    """Median seconds of an epoch: packed, padded, seqbench, padded to the longest by seqbench
    and by bare steps.
    """
    task = splits.task
    settings = {
        "epochs": options.epochs, "batch_size": options.batch, "schedule": None,
        "optimizer": {"name": "adam", "params": {"lr": 3e-3}}, "clip_norm": 1.0,
    }  # fmt: skip

    def ours(which: PreparedSplits) -> Callable[[], None]:
        def work() -> None:
            model = build_model(_choice(name), task)
            train_model(model, which, settings, device=CPU, seed=SEED)

        return work

    works = [
        lambda: _bare(Classifier(name, task, packed=True), ready[0], options.epochs),
        lambda: _bare(Classifier(name, task, packed=False), ready[0], options.epochs),
        ours(splits),
        ours(padded),
        lambda: _bare(Classifier(name, task, packed=False), ready[1], options.epochs),
    ]
    found: list[list[float]] = [[] for _ in works]
    for number in range(options.rounds + 1):
        for times, work in zip(found, works, strict=True):
            seconds = _seconds(work)
            if number:  # the first is a warm-up
                times.append(seconds / options.epochs)
    return [median(times) for times in found]


class Classifier(nn.Module):
    """A recurrent layer and a linear one on the last true step, as one would write them."""

    def __init__(self, name: str, task: Task, *, packed: bool):
        super().__init__()
        self.network: Any = MODELS[name](task.input_size, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, task.output_size)
        self.packed = packed

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if self.packed:
            rows = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            last = self.network(rows)[1]
            last = last[0] if isinstance(last, tuple) else last
            answer: Tensor = self.head(last[-1])
        else:
            hidden = self.network(x)[0]
            answer = self.head(hidden[torch.arange(len(x)), lengths - 1])
        return answer


def _bare(model: Classifier, batches: list[Batch], epochs: int) -> None:
    """Steps of Adam, as in PyTorch's tutorials."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for batch in batches * epochs:
        steps = torch.full((len(batch),), batch.inputs.shape[1])
        lengths = steps if batch.lengths is None else batch.lengths
        optimizer.zero_grad()
        cross_entropy(model(batch.inputs, lengths), batch.targets).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def _data(dataset: str, count: int) -> tuple[list[Any], Any]:
    """Sequences and labels: of one of aeon's, or random ones of 29 to 361 steps."""
    if dataset:
        from aeon.datasets import load_classification  # type: ignore[import-not-found]

        x, labels = load_classification(dataset, split="train")
        y = np.unique(labels, return_inverse=True)[1]
        return [np.ascontiguousarray(one.T, dtype="float32") for one in x], y
    random = np.random.RandomState(SEED)
    lengths = random.randint(29, 362, size=count)
    return [random.randn(n, 3).astype("float32") for n in lengths], random.randint(0, 10, count)


def _padded(x: list[Any]) -> Any:
    longest = max(map(len, x))
    return np.stack([np.pad(one, ((0, longest - len(one)), (0, 0))) for one in x])


def _splits(x: Any, y: Any) -> PreparedSplits:
    longest = max(map(len, x))
    task = Task("features", x[0].shape[1], "label", int(y.max()) + 1, longest)
    few = (x[:2], y[:2])
    choice = Choice("data", {}, "", "benchmark", "0")
    return checked_splits(Splits(task, (x, y), few), choice)


def _choice(name: str) -> Choice:
    params = {
        "hidden_size": HIDDEN, "num_layers": 1, "bidirectional": False, "dropout": 0.0,
        "readout": "last", "embedding_size": 1,
    }  # fmt: skip
    if name == "rnn":
        params["nonlinearity"] = "tanh"
    path = f"seqbench_builtin.recurrent.layers:{name}"
    return Choice(name, params, path, "seqbench", "0", kind="encoder")


def _seconds(work: Callable[[], None]) -> float:
    torch.manual_seed(SEED)
    started = time.process_time()
    work()
    return time.process_time() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--dataset", default="", help="one inside aeon; default: generated")
    parser.add_argument("--sequences", type=int, default=800, help="number of generated ones")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
