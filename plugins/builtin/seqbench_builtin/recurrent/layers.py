"""Encoders made of torch's recurrent layers: (batch, time, features) → (batch, time, hidden)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


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

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(batch, time, features) → (batch, time, hidden · directions)

        Args:
            lengths: true number of steps of each sequence, on the CPU; None if nothing is padded.
                The backward direction begins at the last of them. Forward, padding at the end
                changes nothing before it.
        """
        hidden: Tensor
        if lengths is None or not self.bidirectional:
            hidden = self.network(x)[0]
            return hidden
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        hidden, _ = pad_packed_sequence(
            self.network(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        return hidden

    def forward_with_state(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """(batch, time, features) → (batch, time, hidden), and the state at the end, from the state
        at the end of earlier steps.
        """
        hidden, state = self.network(x, state)
        return hidden, state

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
