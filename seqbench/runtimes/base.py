"""What a runtime is: one way to run a trained model.

A runtime is a function that prepares a trained model for one setting::

    def prepare(model, inputs, *, threads):
        fast = make_fast(model, inputs)
        return fast                                     # the call alone, or
        return PreparedCall(fast, {"graph_breaks": 0})  # with facts about it

- ``model`` is a ``torch.nn.Module`` in eval mode, on its device. A plugin's runtime gets a copy of
  its own.
- ``inputs`` is a batch of real inputs on the same device: (batch, time, input_size) float32, or
  (batch, time) int64. Every call that is timed has this shape.
- ``threads`` is the number of CPU threads that a call may use; torch is set to it already.
- The call takes such inputs and returns what the model returns for them: a tensor on the same
  device. Calls are made under ``torch.inference_mode()``, ``prepare`` under ``torch.no_grad()``.

Before a runtime is timed, the code that times it compares its answers with those of the plain model
(:mod:`seqbench.runtimes.check`). Importing this module costs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

#: What a runtime can report, and what it means.
FACTS: Mapping[str, str] = {
    "first_call_s": "seconds of preparing and of the first call, compiling included",
    "graph_breaks": "how often a part of the model was left to eager mode",
}


@dataclass(frozen=True)
class PreparedCall:
    """A model prepared for one setting.

    Args:
        call: takes the inputs, returns the answer.
        facts: numbers found out on the way, by their names in ``FACTS``. ``first_call_s`` is
            measured by seqbench where a runtime does not report it.

    Raises:
        ValueError: ``call`` cannot be called, or a fact is unknown or no finite number.
    """

    call: Callable[[Tensor], Tensor]
    facts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not callable(self.call):
            raise ValueError(f"call is {type(self.call).__name__}, which cannot be called")
        for name, value in self.facts.items():
            if name not in FACTS:
                raise ValueError(f"unknown fact {name!r}; there are: {', '.join(FACTS)}")
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(f"fact {name!r} is {value!r}, not a finite number")


class Prepare(Protocol):
    """The function behind a runtime."""

    def __call__(
        self, model: nn.Module, inputs: Tensor, *, threads: int
    ) -> PreparedCall | Callable[[Tensor], Tensor]: ...
