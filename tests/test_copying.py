"""Copying: a task of which only the last steps count."""

from __future__ import annotations

import math
from typing import Any

import copying
import pytest
import torch
from torch import Tensor, nn

from seqbench.plugins.choice import Choice
from seqbench.training.data_checks import checked_splits
from seqbench.training.evaluation import MeanLoss, evaluate
from seqbench.training.loop import Trained, train_model
from seqbench.training.losses import default_loss
from seqbench.training.model import build_model
from seqbench.training.prepared import PreparedSplits
from seqbench.types import Fresh, Splits

CPU = torch.device("cpu")


def splits(blanks: int, count: int) -> PreparedSplits:
    sizes = {"blanks": blanks, "count": count}
    train = Fresh("copying:draw", size=1000, parameters=sizes)
    test, validation = (copying.draw(10**6 + n, 300, **sizes) for n in range(2))
    data = Choice("copying", {}, "copying:load", "tests", "1")
    return checked_splits(Splits(copying.task_of(blanks, count), train, test, validation), data)


def trained(name: str, of: PreparedSplits, steps: int) -> Trained:
    torch.manual_seed(0)
    params: dict[str, Any] = {
        "hidden_size": 64, "num_layers": 1, "bidirectional": False, "dropout": 0.0,
        "readout": "last", "embedding_size": 16,
    }  # fmt: skip
    path = f"seqbench_builtin.recurrent.layers:{name}"
    model = build_model(Choice(name, params, path, "seqbench", "1", kind="encoder"), of.task)
    settings = {
        "epochs": 1, "steps": steps, "batch_size": 50, "schedule": None, "clip_norm": 1.0,
        "optimizer": {"name": "adam", "params": {"lr": 5e-3}},
    }  # fmt: skip
    return train_model(model, of, settings, device=CPU, seed=0)


class Uniform(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(*x.shape, copying.SYMBOLS)


def test_uniform_answers_have_a_loss_of_ln_8_over_the_steps_that_count() -> None:
    of = splits(blanks=100, count=10)
    loss = MeanLoss(default_loss(of.task))
    accuracy = evaluate(Uniform(), of.test, device=CPU, meters=[loss])
    assert abs(loss.value - math.log(8)) < 1e-6
    assert accuracy == pytest.approx(1 / 8, abs=0.02)  # class 0 of 3,000 symbols


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_ten_blanks_are_solved_and_a_hundred_are_not_in_so_few_steps(name: str) -> None:
    assert trained(name, splits(blanks=10, count=3), 800).metrics["value"] > 0.98
    hard = trained(name, splits(blanks=100, count=10), 100)
    assert hard.curve[-1]["validation_loss"] == pytest.approx(math.log(8), abs=0.05)
