"""State that is carried over from one batch to the next, for text and other contiguous data.

Truncated backpropagation: a batch begins with the state in which the model ended the one before it,
and gradients do not reach back beyond the batch (Williams and Peng 1990; as in PyTorch's example of
a word language model).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import DataError, PluginError, UsageError
from seqbench.plugins.choice import Choice
from seqbench.runtimes.compare import TOLERANCE, relative_error
from seqbench.training.model import SequenceModel
from seqbench.training.own_step import own_step_of
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Batch, Split

#: The method of a model, or of an encoder, that takes and returns a state.
METHOD = "forward_with_state"

#: Sequences and steps of the test whether the method answers as a plain call does.
SEQUENCES, STEPS = 2, 50


def call_with_state(model: nn.Module) -> Callable[[Tensor, Any], tuple[Tensor, Any]]:
    """The call of a model with inputs and a state, which returns answers and the new state."""

    def call(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        returned = getattr(model, METHOD)(x, state)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise PluginError(
                f"{METHOD} returned {type(returned).__name__}, not a pair of answers and state"
            )
        return returned[0], returned[1]

    return call


class Carrying:
    """The call of a model with a batch in training; see :func:`seqbench.training.model.forward_of`.

    ``state`` is that at the end of the last batch.
    """

    def __init__(self, model: nn.Module):
        self._call = call_with_state(model)
        self.state: Any = None

    def __call__(self, batch: Batch) -> Tensor:
        answer, state = self._call(batch.inputs, self.state if batch.continues else None)
        self.state = detached(state)
        return answer


def detached(state: Any) -> Any:
    """A state without its history: tensors, in tuples, lists and dictionaries."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {key: detached(value) for key, value in state.items()}
    if isinstance(state, (tuple, list)):
        found = [detached(value) for value in state]
        if hasattr(state, "_fields"):  # a named tuple
            return type(state)(*found)
        return type(state)(found)
    return state


def check_carried(
    model: nn.Module, splits: PreparedSplits, device: torch.device, choice: Choice
) -> None:
    """Check that a model can carry its state over, and that it answers as it does without.

    Raises:
        UsageError: it has no state to carry over.
        DataError: the dataset has no target at each step, or no stored training sequences.
        PluginError: its answers from the beginning differ from those of a plain call.
    """
    module = model.encoder if isinstance(model, SequenceModel) else model
    name = f"train.carry_state: {choice.name}"
    if not callable(getattr(module, METHOD, None)):
        raise UsageError(f"{name} has no method {METHOD}(x, state)")
    if own_step_of(model) is not None:
        raise UsageError(f"{name} has its own training_step, which is not given a state")
    if getattr(module, "bidirectional", False):
        raise UsageError(f"{name} is bidirectional: it also reads from the end of a sequence")
    if not splits.task.per_step:
        raise DataError("train.carry_state needs a dataset with a target at each step")
    if not isinstance(splits.train, Split):
        raise DataError("train.carry_state needs stored training sequences, and these are fresh")
    rows = torch.arange(min(SEQUENCES, len(splits.train)))
    shortest = int(splits.train.lengths[rows].min())
    inputs = splits.train.exactly(rows, min(STEPS, shortest)).inputs.to(device)
    training = model.training
    model.eval()
    with torch.no_grad():
        plain, (carried, _) = model(inputs), call_with_state(model)(inputs, None)
    model.train(training)
    error = relative_error(carried, plain) if carried.shape == plain.shape else float("inf")
    if not error <= TOLERANCE[torch.float32]:
        raise PluginError(
            f"{choice.name!r} of {choice.distribution} {choice.version}: {METHOD}(x, None) gives "
            f"other answers than a plain call (relative difference {error:.1e})"
        )
