"""Running a model over a sequence step by step."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.training.model import SequenceModel


def can_step(model: nn.Module) -> bool:
    """Whether a model can process a sequence step by step, carrying its state.

    A bidirectional model cannot, since its backward direction starts at the end.
    """
    module = model.encoder if isinstance(model, SequenceModel) else model
    bidirectional = getattr(module, "bidirectional", False)
    return callable(getattr(module, "step", None)) and not bidirectional


def run_steps(model: Any, x: Tensor) -> tuple[list[Tensor], Any]:
    """Run a model over ``x``, (batch, time[, features]), step by step.

    Returns:
        the answer after each step, and the last state.

    Raises:
        PluginError: ``step`` does not return a pair.
    """
    answers, state = [], None
    for position in range(x.shape[1]):
        returned = model.step(x[:, position], state)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise PluginError(
                f"step returned {type(returned).__name__}, not a pair of answer and new state"
            )
        answer, state = returned
        answers.append(answer)
    return answers, state
