"""The runtime ``compile``: torch.compile with fixed shapes, compiled separately per setting."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.runtimes.base import PreparedCall

#: Larger than the number of settings in any suite.
RECOMPILE_LIMIT = 10_000

#: Environment variables that make torch.compile silently fall back to eager mode.
DISABLING = ("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE")


def prepare(model: nn.Module, inputs: Tensor, *, threads: int) -> PreparedCall:
    """Compile the model by calling it once.

    Returns:
        the compiled model, with ``first_call_s`` (seconds, including compilation) and
        ``graph_breaks`` (number of parts left in eager mode).

    Raises:
        PluginError: torch compiled no part of the model.
        Exception: any error of torch.
    """
    _configure()
    backend = _CountingBackend()
    function: Callable[[Tensor], Tensor] = torch.compile(model, dynamic=False, backend=backend)
    breaks = torch._dynamo.utils.counters["graph_break"]
    breaks.clear()
    with torch.inference_mode():
        clock = time.perf_counter()
        function(inputs).cpu()  # waits for the device
        seconds = time.perf_counter() - clock
    if not backend.graphs:
        raise PluginError(f"nothing was compiled: {_why_nothing(list(breaks))}")
    return PreparedCall(function, {"first_call_s": seconds, "graph_breaks": sum(breaks.values())})


class _CountingBackend:
    """torch's default backend, counting the graphs that it compiles.

    Each setting has its own backend, so torch compiles for each setting separately, and only
    graphs of this setting are counted.
    """

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        from torch._inductor.compile_fx import compile_fx

        compiled: Any = compile_fx(graph, inputs)
        self.graphs += 1
        return compiled


def _configure() -> None:
    """Make torch raise compiler errors. If it fell back to eager mode instead, eager mode would be
    timed under the name of this runtime.
    """
    # Imported now, so that it does not count as part of the first call.
    importlib.import_module("torch._inductor.compile_fx")
    # Compile in this process: a pool of compile workers would still run while others are timed.
    torch._inductor.config.compile_threads = 1
    dynamo = torch._dynamo.config
    dynamo.suppress_errors = False
    # Named cache_size_limit in torch 2.5 and older.
    name = "recompile_limit" if hasattr(dynamo, "recompile_limit") else "cache_size_limit"
    setattr(dynamo, name, RECOMPILE_LIMIT)
    setattr(dynamo, f"accumulated_{name}", RECOMPILE_LIMIT)


def _why_nothing(breaks: list[str]) -> str:
    for name in DISABLING:
        if os.environ.get(name, "0") not in ("", "0"):
            return f"the environment variable {name} is set"
    if torch._dynamo.config.disable:
        return "torch._dynamo.config.disable is set"
    if breaks:
        return f"torch left the whole model in eager mode: {' '.join(breaks[0].split())[:200]}"
    return "torch found no operation to compile"
