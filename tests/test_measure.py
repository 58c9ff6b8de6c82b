"""Multiply-accumulates of models with known counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_models import choice
from torch import nn

from seqbench.errors import PluginError
from seqbench.measure.cost import count_macs
from seqbench.training.model import build_model
from seqbench.types import Task

LABELS = Task("features", 28, "label", 10, 28)


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        # gates · hidden · (inputs + hidden) per step, 28 steps, and the readout 100 · 10
        ("rnn", {}, 28 * 1 * 100 * (28 + 100) + 1000),
        ("gru", {}, 28 * 3 * 100 * (28 + 100) + 1000),
        ("lstm", {}, 28 * 4 * 100 * (28 + 100) + 1000),
        # the second layer reads 100 hidden values
        ("rnn", {"num_layers": 2}, 28 * 100 * (28 + 100 + 100 + 100) + 1000),
        ("gru", {"num_layers": 2}, 28 * 3 * 100 * (28 + 100 + 100 + 100) + 1000),
        ("lstm", {"num_layers": 2}, 28 * 4 * 100 * (28 + 100 + 100 + 100) + 1000),
        # both directions; the readout reads 200
        ("rnn", {"bidirectional": True}, 2 * 28 * 100 * (28 + 100) + 2000),
        ("gru", {"bidirectional": True}, 2 * 28 * 3 * 100 * (28 + 100) + 2000),
        ("lstm", {"bidirectional": True}, 2 * 28 * 4 * 100 * (28 + 100) + 2000),
    ],
)
def test_multiply_accumulates_are_those_worked_out_by_hand(
    name: str, params: dict[str, Any], macs: int
) -> None:
    model = build_model(choice(name, hidden_size=100, **params), LABELS)
    assert count_macs(model, LABELS) == macs


def test_tokens_cost_no_product_in_the_embedding() -> None:
    task = Task("tokens", 50, "label", 2, 12)
    model = build_model(choice("rnn", hidden_size=8, embedding_size=4), task)
    assert count_macs(model, task) == 12 * 8 * (4 + 8) + 8 * 2


def test_a_count_of_zero_for_a_model_with_parameters_is_an_error() -> None:
    class Adds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(28))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.weight

    with pytest.raises(PluginError, match="no multiply-accumulates were counted"):
        count_macs(Adds(), LABELS)
