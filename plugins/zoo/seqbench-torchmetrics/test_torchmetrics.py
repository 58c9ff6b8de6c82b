import importlib

import pytest
import torch
from seqbench_torchmetrics import METRICS, meters

import seqbench

LABEL = seqbench.Task("features", 1, "label", output_size=3, length=1)
NUMBERS = seqbench.Task("features", 1, "value", output_size=2, length=1)


def figure(name, task, answers, targets):
    meter = getattr(meters, name)(task)
    for part in torch.arange(len(answers)).split(37):
        meter.update(answers[part], targets[part])
    return float(meter.compute())


def test_each_has_the_direction_that_torchmetrics_declares():
    for name, (higher, _, targets) in METRICS.items():
        numbers = targets[0] == "value"
        module = importlib.import_module(
            f"torchmetrics.{'regression' if numbers else 'classification'}"
        )
        kind = getattr(module, name if numbers else f"Multiclass{name}")
        assert kind.higher_is_better in (higher, None), name


def test_figures_by_hand():
    predicted, true = torch.tensor([0, 0, 1, 1, 1, 2]), torch.tensor([0, 1, 1, 1, 2, 2])
    answers = torch.nn.functional.one_hot(predicted, 3).float()
    assert figure("F1Score", LABEL, answers, true) == pytest.approx(2 / 3)
    assert figure("Accuracy", LABEL, answers, true) == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    assert figure("CohenKappa", LABEL, answers, true) == pytest.approx(
        (4 / 6 - 13 / 36) / (1 - 13 / 36)
    )
    draw = torch.Generator().manual_seed(0)
    numbers = torch.randn(200, 2, generator=draw)
    answers = numbers + torch.randn(200, 2, generator=draw)
    errors, spread = (
        (answers - numbers).square().sum(0),
        (numbers - numbers.mean(0)).square().sum(0),
    )
    expected = (1 - errors / spread).mean().item()
    assert figure("R2Score", NUMBERS, answers, numbers) == pytest.approx(expected, abs=1e-5)
