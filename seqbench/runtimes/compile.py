"""The runtime ``compile``: torch.compile."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    # One thread compiles: a pool of processes would still be there while others are timed.
    torch._inductor.config.compile_threads = 1
    # Shapes and thread counts are compiled apart; torch 2.5 and older call the limit otherwise.
    limits = torch._dynamo.config
    name = "recompile_limit" if hasattr(limits, "recompile_limit") else "cache_size_limit"
    setattr(limits, name, 64)
    return torch.compile(model, dynamic=False)
