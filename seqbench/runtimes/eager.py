"""The runtime ``eager``: the model as it is."""

from __future__ import annotations

from torch import Tensor, nn

from seqbench.runtimes.base import PreparedCall


def prepare(model: nn.Module, inputs: Tensor, *, threads: int) -> PreparedCall:
    """The model itself; nothing is to be prepared."""
    return PreparedCall(model)
