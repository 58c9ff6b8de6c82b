"""The usual script: one model after the other, images decoded and transformed one by one.

    python benchmarks/usual_script.py --data DIRECTORY --epochs 5 --seeds 3

It trains the four networks of suites/fashion-2020.yaml, as that suite does: pixels in [0, 1], batch
100, SGD. ``--normalize`` adds the Normalize that such scripts often have; it changes what is
learned, so it is off where accuracies are compared. The last line on stdout is JSON: accuracy by
model and seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

HIDDEN, BATCH, TEST_BATCH = 100, 100, 1000
#: Layer, its parameters, and the momentum used in training.
MODELS: dict[str, tuple[type[nn.Module], dict[str, Any], float]] = {
    "RNN-1": (nn.RNN, {"num_layers": 1, "nonlinearity": "relu"}, 0.0),
    "LSTM-1": (nn.LSTM, {"num_layers": 1}, 0.9),
    "RNN-2": (nn.RNN, {"num_layers": 2, "nonlinearity": "relu"}, 0.0),
    "LSTM-2": (nn.LSTM, {"num_layers": 2}, 0.0),
}


class Classifier(nn.Module):
    """Reads an image row by row and answers from the last row."""

    def __init__(self, name: str):
        super().__init__()
        kind, parameters, self.momentum = MODELS[name]
        self.layer = kind(28, HIDDEN, batch_first=True, **parameters)
        self.head = nn.Linear(HIDDEN, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden, _ = self.layer(images.view(-1, 28, 28))  # (batch, 28, hidden)
        answer: Tensor = self.head(hidden[:, -1])
        return answer


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    steps: list[Any] = [transforms.ToTensor()]
    if options.normalize:
        steps.append(transforms.Normalize((0.2860,), (0.3530,)))
    transform = transforms.Compose(steps)
    train, test = (
        datasets.FashionMNIST(options.data, train=part, transform=transform, download=True)
        for part in (True, False)
    )
    accuracies: dict[str, list[float]] = {}
    for name in options.models:
        accuracies[name] = [fit(name, seed, options.epochs, train, test) for seed in options.seeds]
    print(json.dumps(accuracies))


def fit(name: str, seed: int, epochs: int, train: Any, test: Any) -> float:
    """Trains one model; its accuracy on the test images after the last epoch."""
    torch.manual_seed(seed)
    train_loader = DataLoader(train, batch_size=BATCH, shuffle=True)
    test_loader = DataLoader(test, batch_size=TEST_BATCH)
    model = Classifier(name)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=model.momentum)
    accuracy = 0.0
    for epoch in range(epochs):
        model.train()
        running_loss = 0.0
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        accuracy = evaluate(model, test_loader)
        mean = running_loss / len(train_loader)
        print(f"{name} seed {seed} epoch {epoch + 1}: loss {mean:.4f} accuracy {accuracy:.4f}")
    return accuracy


def evaluate(model: nn.Module, loader: Any) -> float:
    model.eval()
    right = total = 0
    with torch.no_grad():
        for images, labels in loader:
            right += (model(images).argmax(1) == labels).sum().item()
            total += len(labels)
    return right / total


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="torchvision's folder of datasets")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--normalize", action="store_true")
    options = parser.parse_args()
    options.seeds = range(options.seeds)
    return options


if __name__ == "__main__":
    main()
