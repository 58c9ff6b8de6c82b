"""Encoders made of torch's recurrent layers: (batch, time, features) → (batch, time, hidden)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Recurrent(nn.Module):
    """One of torch's recurrent networks, with an initial state of zero.

    ``bidirectional`` tells the readout that the second half of the features runs backwards, so that
    its last output is at the first step.
    """

    def __init__(self, kind: type[nn.Module], input_size: int, **parameters: Any):
        super().__init__()
        if parameters["num_layers"] == 1:
            parameters["dropout"] = 0.0  # torch warns about dropout with a single layer
        self.network = kind(input_size, batch_first=True, **parameters)
        self.bidirectional = parameters["bidirectional"]

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.network(x)[0]  # (batch, time, hidden · directions)
        return hidden

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step: (batch, features) → (batch, hidden), and the next state."""
        hidden, state = self.network(x.unsqueeze(1), state)
        return hidden.squeeze(1), state


def rnn(input_size: int, **parameters: Any) -> nn.Module:
    return Recurrent(torch.nn.RNN, input_size, **parameters)


def lstm(input_size: int, **parameters: Any) -> nn.Module:
    return Recurrent(torch.nn.LSTM, input_size, **parameters)


def gru(input_size: int, **parameters: Any) -> nn.Module:
    return Recurrent(torch.nn.GRU, input_size, **parameters)
