"""Whether a model looks ahead: whether its answer at a step depends on later steps.

Tested by changing inputs: all steps from some place on are replaced by others of the same data, and
the answers before that place are compared. Nothing is assumed about the model's inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqbench.errors import LooksAhead, reason_of
from seqbench.plugins.choice import Choice
from seqbench.runtimes.compare import TOLERANCE
from seqbench.training.prepared import PreparedSplits

#: Places that are tested besides the first and the last, in sequences with more. They are random,
#: since a model that works in blocks looks ahead within a block only.
PLACES = 8

#: Test sequences that a trained model is tested on.
SEQUENCES = 4

#: How often a difference must occur again, since the model may be random.
REPEATS = 3

#: Rounding errors of an answer, in units of the last place of its largest value.
ROUNDING = 64

VARY = "its answers to the same input vary in evaluation mode"

Answer = Callable[[Tensor], Tensor]


class Untestable(Exception):
    """Whether a model looks ahead cannot be tested; the text is the reason."""


@dataclass(frozen=True)
class Ahead:
    """An answer that depends on a later input. Steps are counted from 1."""

    step: int
    later: int
    length: int

    def __str__(self) -> str:
        where = f"step {self.step} of {self.length}"
        return f"the answer at {where} changes with the input at step {self.later}"


def find_ahead(answer: Answer, inputs: Tensor) -> Ahead | None:
    """Find an answer that depends on a later step; None if none was found.

    Args:
        answer: (batch, time, …) inputs → (batch, time, outputs), in evaluation mode.
        inputs: real inputs; the changed ones consist of the same steps in another order.

    Raises:
        Untestable: the answers vary or are not finite, or all steps of the inputs are equal.
        Exception: any error of ``answer``.
    """
    length = inputs.shape[1]
    if length == 1:
        return None
    other, original = other_steps(inputs), _finite(answer(inputs))
    for place in _places(length):
        differs = differing(_finite(answer(_changed(inputs, other, place))), original)
        steps = differs.any(-1).any(0)[:place].nonzero().flatten()  # (time,)
        if len(steps):
            return _located(answer, inputs, other, place=place, step=int(steps[-1]))
    return None


def other_steps(inputs: Tensor) -> Tensor:
    """Inputs that differ from ``inputs`` at every step, and consist of the same steps.

    A model gets no values that the data do not contain, such as unknown tokens.

    Raises:
        Untestable: all steps are equal.
    """
    known: Tensor
    known, numbers = torch.unique(inputs.cpu().flatten(0, 1), return_inverse=True, dim=0)
    if len(known) < 2:
        raise Untestable("all steps of its inputs are equal")
    draw = torch.Generator().manual_seed(0)
    offsets = torch.randint(1, len(known), numbers.shape, generator=draw)
    return known[(numbers + offsets) % len(known)].view(inputs.shape).to(inputs.device)


def differing(found: Tensor, expected: Tensor) -> Tensor:
    """Where two answers differ by more than rounding: a boolean tensor of their shape.

    Allowed is ``TOLERANCE``, relative to how much the answers vary over sequences and steps: an
    output that is huge everywhere, as for an excluded class, hides no difference in others.
    """
    tolerance, epsilon = TOLERANCE.get(expected.dtype, 0.0), torch.finfo(expected.dtype).eps
    varying = (expected - expected.mean(dim=(0, 1), keepdim=True)).abs().max()
    sizes = expected.abs().amax(dim=(0, 1))  # (outputs,)
    return (found - expected).abs() > torch.maximum(tolerance * varying, ROUNDING * epsilon * sizes)


def _places(length: int) -> list[int]:
    """The places from which on inputs are changed, in order: all, or some of a long sequence."""
    places = list(range(1, length))
    if len(places) <= PLACES + 2:
        return places
    draw = torch.Generator().manual_seed(0)
    chosen = torch.randperm(length - 3, generator=draw)[:PLACES] + 2
    return [1, *sorted(chosen.tolist()), length - 1]


def _changed(inputs: Tensor, other: Tensor, start: int, end: int | None = None) -> Tensor:
    """``inputs`` with the steps from ``start`` to before ``end`` of ``other``."""
    changed = inputs.clone()
    changed[:, start:end] = other[:, start:end]
    return changed


def _located(answer: Answer, inputs: Tensor, other: Tensor, *, place: int, step: int) -> Ahead:
    """Which input from ``place`` on changes the answer at ``step``: the nearest, by bisection."""
    original = answer(inputs)

    def changes(end: int) -> bool:
        found = answer(_changed(inputs, other, place, end))
        return bool(differing(found, original)[:, step].any())

    length = inputs.shape[1]
    for _ in range(REPEATS):
        if differing(answer(inputs), original).any() or not changes(length):
            raise Untestable(VARY)
    same, differs = place, length
    while differs - same > 1:
        middle = (same + differs) // 2
        same, differs = (same, middle) if changes(middle) else (middle, differs)
    return Ahead(step + 1, differs, length)


def _finite(answers: Tensor) -> Tensor:
    if not bool(torch.isfinite(answers).all()):
        raise Untestable("its answer is not finite")
    return answers


def check_causal(
    model: nn.Module, splits: PreparedSplits, device: torch.device, choice: Choice, *, when: str
) -> str:
    """Check that a model for a causal task does not look ahead, on a few test sequences.

    Args:
        model: on ``device``; left in evaluation mode. torch's generators are seeded.
        choice: the model, for the error.
        when: the state of its weights, for the error.

    Returns:
        why this cannot be tested; ``""`` if it was.

    Raises:
        LooksAhead: it does.
    """
    model.eval()

    def answer(x: Tensor) -> Tensor:
        torch.manual_seed(0)
        with torch.inference_mode():
            answers: Tensor = model(x)
        return answers

    rows = torch.arange(min(SEQUENCES, len(splits.test)))
    longest = int(splits.test.lengths[rows].max())
    inputs = splits.test.exactly(rows, longest).inputs
    try:
        found = find_ahead(answer, inputs.to(device))
    except Untestable as untestable:
        return str(untestable)
    except Exception as error:  # it may not accept so few sequences
        return f"it has no answer: {reason_of(error)}"
    if found:
        raise LooksAhead(
            f"{choice.name!r} looks ahead {when}: {found}, but the task is causal: its answers may "
            "depend only on steps up to their own; use a model, or parameters of it, that do not "
            "look ahead"
        )
    return ""
