"""The runtime ``eager``: the model as it is."""

from __future__ import annotations

from torch import Tensor, nn

from seqbench.runtimes.base import PreparedCall


def prepare(model: nn.Module, inputs: Tensor, *, threads: int) -> PreparedCall:
    """Return the model itself; no preparation is needed."""
    return PreparedCall(model)
