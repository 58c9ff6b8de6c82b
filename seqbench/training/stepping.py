"""Going through a sequence step by step."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.training.model import SequenceModel


def can_step(model: nn.Module) -> bool:
    """Whether a model can go through a sequence step by step, carrying its state.

    One that also reads backwards cannot, since its way back begins at the end.
    """
    carrier = model.encoder if isinstance(model, SequenceModel) else model
    backwards = getattr(carrier, "bidirectional", False)
    return callable(getattr(carrier, "step", None)) and not backwards


def run_steps(model: Any, x: Tensor) -> tuple[list[Tensor], Any]:
    """Goes through ``x``, (batch, time[, features]), step by step.

    Returns:
        the answer after each step, and the last state.
    """
    answers, state = [], None
    for position in range(x.shape[1]):
        found = model.step(x[:, position], state)
        if not isinstance(found, tuple) or len(found) != 2:
            raise PluginError(
                f"step returned {type(found).__name__}, not two: what it answers, and the new state"
            )
        answer, state = found
        answers.append(answer)
    return answers, state
