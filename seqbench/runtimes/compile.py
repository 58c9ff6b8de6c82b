"""The runtime ``compile``: torch.compile, with fixed shapes, compiled anew for each setting."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.runtimes.base import PreparedCall

#: More versions of one function than a suite can have settings.
RECOMPILE_LIMIT = 10_000

#: Variables with which torch.compile returns eager mode without a word.
DISABLING = ("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE")


def prepare(model: nn.Module, inputs: Tensor, *, threads: int) -> PreparedCall:
    """Compiles the model by calling it once.

    Returns:
        With ``first_call_s`` (seconds, compiling included) and ``graph_breaks`` (how often torch
        left a part of the model to eager mode).

    Raises:
        PluginError: torch compiled no part of the model. Whatever torch raises.
    """
    _configure()
    counted = _CountingBackend()
    function: Callable[[Tensor], Tensor] = torch.compile(model, dynamic=False, backend=counted)
    breaks = torch._dynamo.utils.counters["graph_break"]
    breaks.clear()
    with torch.inference_mode():
        clock = time.perf_counter()
        function(inputs).cpu()  # waits until the device has computed it
        seconds = time.perf_counter() - clock
    if not counted.graphs:
        raise PluginError(f"nothing was compiled: {_why_nothing(list(breaks))}")
    return PreparedCall(function, {"first_call_s": seconds, "graph_breaks": sum(breaks.values())})


class _CountingBackend:
    """torch's default backend, which counts the graphs that it has compiled.

    Each setting has one of its own, so that torch compiles each setting anew and a graph counted
    is one that runs in this setting.
    """

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        from torch._inductor.compile_fx import compile_fx

        compiled: Any = compile_fx(graph, inputs)
        self.graphs += 1
        return compiled


def _configure() -> None:
    """Errors are raised: with any of torch's ways to carry on in eager mode instead, eager mode
    would be timed under the name of this runtime.
    """
    # One thread compiles: a pool of processes would still be there while others are timed.
    torch._inductor.config.compile_threads = 1
    dynamo = torch._dynamo.config
    dynamo.suppress_errors = False
    # torch 2.5 and older call them otherwise.
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
        return f"torch left all of the model to eager mode: {' '.join(breaks[0].split())[:200]}"
    return "torch found no operation that it can compile"
