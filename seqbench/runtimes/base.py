"""The contract of a runtime: one way to run a trained model.

A runtime is a function that prepares a trained model for one setting::

    def prepare(model, inputs, *, threads):
        fast = make_fast(model, inputs)
        return fast                                     # the call alone, or
        return PreparedCall(fast, {"graph_breaks": 0})  # with facts about it

- ``model`` is a ``torch.nn.Module`` in eval mode, on its device. A plugin's runtime receives its
  own copy.
- ``inputs`` is a batch of real inputs on the same device: (batch, time, input_size) float32, or
  (batch, time) int64. All timed calls have inputs of this shape.
- ``threads`` is the number of CPU threads that a call may use; torch is already set to it.
- The call takes such inputs and returns the model's answer to them: a tensor on the same device.
  Calls run under ``torch.inference_mode()``, ``prepare`` under ``torch.no_grad()``.

Before a runtime is timed, its answers are compared with those of the plain model
(:mod:`seqbench.runtimes.compare`). Importing this module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

#: The facts that a runtime can report, and their meaning.
FACTS: Mapping[str, str] = {
    "first_call_s": "seconds for preparation and the first call, including compilation",
    "graph_breaks": "number of graph breaks: parts of the model left in eager mode",
}

#: Facts that are whole numbers.
COUNTS = ("graph_breaks",)


@dataclass(frozen=True)
class PreparedCall:
    """A model prepared for one setting.

    Args:
        call: takes the inputs, returns the answer.
        facts: numbers about the call, by their names in ``FACTS``. If a runtime does not report
            ``first_call_s``, seqbench measures it.

    Raises:
        ValueError: ``call`` is not callable, or a fact is unknown or not a number of its kind.
    """

    call: Callable[[Tensor], Tensor]
    facts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not callable(self.call):
            raise ValueError(f"call is {type(self.call).__name__}, which is not callable")
        for name, value in self.facts.items():
            if name not in FACTS:
                raise ValueError(f"unknown fact {name!r}; available: {', '.join(FACTS)}")
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"fact {name!r} is {value!r}, not a number")
            if not math.isfinite(value):
                raise ValueError(f"fact {name!r} is {value!r}, not a finite number")
            if name in COUNTS and not isinstance(value, int):
                raise ValueError(f"fact {name!r} is {value!r}, not a whole number")


class Prepare(Protocol):
    """The function behind a runtime."""

    def __call__(
        self, model: nn.Module, inputs: Tensor, *, threads: int
    ) -> PreparedCall | Callable[[Tensor], Tensor]: ...
