"""Figures of many seeds, for small models on small tasks: the data behind the choice of a test.

    python benchmarks/seed_pools.py pools.json --answers answers

Trains each model on each task with seeds 0 to 199, as a suite would, and writes the test figure of
each seed. ``--answers`` also writes which test sequences each seed answers correctly (or its
squared errors), one file per pool; ``benchmarks/seed_tests.py`` can use them. Fashion-MNIST is
taken from the folder in ``SEQBENCH_DATA``. A pool that is in the file already is kept.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqbench.errors import Diverged
from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.plugins.parameters import completed
from seqbench.suite.validate import parse_suite
from seqbench.training.data import load_dataset
from seqbench.training.loop import train_model
from seqbench.training.model import build_model
from seqbench.training.prepared import PreparedSplits
from seqbench.types import DataContext

MODELS = ("rnn", "lstm", "gru")

#: Each task: its dataset, its parameters, sequences in the training split, and training settings.
TASKS: dict[str, tuple[str, dict[str, Any], int, dict[str, Any]]] = {
    "parity of 4": ("parity", {"length": 4}, 1000, {"epochs": 4, "lr": 0.01}),
    "parity of 8": ("parity", {"length": 8}, 2000, {"epochs": 15, "lr": 0.02}),
    "adding, 12 steps": ("adding", {"length": 12}, 2000, {"epochs": 10, "lr": 0.01}),
    "fashion rows": ("fashion_mnist", {}, 4000, {"epochs": 3, "lr": 0.005}),
    "fashion rows, SGD": ("fashion_mnist", {}, 4000, {"epochs": 6, "lr": 0.1, "name": "sgd"}),
}
HIDDEN, BATCH, TEST = 16, 50, 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path, help="JSON file to write")
    parser.add_argument("--answers", type=Path, help="folder for the answers to each sequence")
    parser.add_argument("--seeds", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pools = json.loads(options.file.read_text()) if options.file.exists() else {}
    for task in TASKS:
        for model in MODELS:
            name = f"{model} on {task}"
            if len(pools.get(name, {}).get("figures", ())) >= options.seeds:
                continue
            metric, figures, answers = pool(model, task, options.seeds)
            pools[name] = {"metric": metric, "figures": figures}
            options.file.write_text(json.dumps(pools, indent=1) + "\n")
            if options.answers is not None:
                options.answers.mkdir(exist_ok=True)
                torch.save(answers, options.answers / f"{name}.pt")
            print(f"{name}: {len(figures)} seeds, {min(figures):.4g} to {max(figures):.4g}")


def pool(model: str, task: str, seeds: int) -> tuple[str, list[float], Tensor]:
    """Train a model on a task with many seeds.

    Returns:
        the metric, the test figure of each successful seed, and for each seed and test sequence
        whether it is answered correctly, or its squared error: (seeds, sequences).
    """
    splits, settings = task_of(task)
    offer = load_plugins().model(model)
    params = completed({"hidden_size": HIDDEN}, offer.spec.parameters)
    figures, rows = [], []
    for seed in range(seeds):
        torch.manual_seed(seed)
        built = build_model(Choice.of(offer, params), splits.task)
        try:
            trained = train_model(built, splits, settings, device=torch.device("cpu"), seed=seed)
        except Diverged:
            continue
        figures.append(trained.metrics["value"])
        rows.append(answered(built, splits))
    return splits.task.metric, figures, torch.stack(rows)


def task_of(name: str) -> tuple[PreparedSplits, dict[str, Any]]:
    """The splits of a task, and the training settings as a suite resolves them."""
    dataset, params, size, train = TASKS[name]
    offer = load_plugins().dataset(dataset)
    choice = Choice.of(offer, completed(params, offer.spec.parameters))
    folder = os.environ.get("SEQBENCH_DATA")
    context = DataContext(Path(folder) if folder else None, Path(), lambda text: None)
    splits = load_dataset(choice, context)
    optimizer = f"{{{train.get('name', 'adam')}: {{lr: {train['lr']}}}}}"
    suite = parse_suite(
        f"datasets: [{dataset}]\nmodels: [rnn]\n"
        f"train: {{epochs: {train['epochs']}, batch_size: {BATCH}, optimizer: {optimizer}}}\n",
        registry=load_plugins(),
    )
    sizes = {"train": size, "validation": 1000, "test": TEST}
    parts = {split: splits.stored[split].head(most) for split, most in sizes.items()}
    return PreparedSplits(splits.task, **parts), suite.train.resolved()


@torch.inference_mode()
def answered(model: torch.nn.Module, splits: PreparedSplits) -> Tensor:
    """For each test sequence whether the answer is correct, or its squared error: (sequences,)."""
    targets = splits.test.targets
    answers: Tensor = model.eval()(splits.test.inputs)
    if splits.task.target == "value":
        return (answers - targets).square().mean(dim=1)
    return answers.argmax(-1) == targets


if __name__ == "__main__":
    main()
