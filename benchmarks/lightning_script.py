"""The four networks of the usual script under Lightning's Trainer, as it is by default.

    python benchmarks/lightning_script.py --data DIRECTORY --epochs 5 --seeds 3

The images are converted to tensors once, in [0, 1], and served by a DataLoader over a
TensorDataset. The last line on stdout is JSON: accuracy by model and seed.
"""

from __future__ import annotations

import json
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchvision import datasets
from usual_script import BATCH, TEST_BATCH, Classifier, _options


class Lit(lightning.LightningModule):  # type: ignore[misc, unused-ignore]  # may be missing
    def __init__(self, name: str):
        super().__init__()
        self.model = Classifier(name)

    def training_step(self, batch: Any, _: int) -> Tensor:
        images, labels = batch
        loss = functional.cross_entropy(self.model(images), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        images, labels = batch
        right = (self.model(images).argmax(1) == labels).float().mean()
        self.log("accuracy", right, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=self.model.momentum)


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    train, test = (_tensors(options.data, train=part) for part in (True, False))
    accuracies: dict[str, list[float]] = {}
    with TemporaryDirectory() as folder:
        for name in options.models:
            accuracies[name] = [
                fit(name, seed, options.epochs, train, test, folder) for seed in options.seeds
            ]
    print()
    print(json.dumps(accuracies))


def _tensors(root: Any, *, train: bool) -> TensorDataset:
    images = datasets.FashionMNIST(root, train=train, download=True)
    return TensorDataset(images.data.float() / 255, images.targets)


def fit(name: str, seed: int, epochs: int, train: Any, test: Any, folder: str) -> float:
    """Trains one model; its accuracy on the test images after the last epoch."""
    lightning.seed_everything(seed)
    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=folder)
    trainer.fit(
        Lit(name),
        DataLoader(train, batch_size=BATCH, shuffle=True),
        DataLoader(test, batch_size=TEST_BATCH),
    )
    return float(trainer.callback_metrics["accuracy"])


if __name__ == "__main__":
    main()
