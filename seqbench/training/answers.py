"""Whether a model whose weights were loaded answers as the trained model did.

Weights files hold parameters and persistent buffers. A model may have other state, for example a
tensor that is a plain attribute: a newly built model then answers differently, and every figure
measured on it belongs to another model.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError, reason_of
from seqbench.plugins.choice import Choice
from seqbench.records import Answers
from seqbench.runtimes.compare import TOLERANCE, relative_error
from seqbench.training.model import forward_of
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Batch
from seqbench.training.weights import state_outside, what_is_missing

#: Recorded are the answers to this many test sequences, and of these at most this many numbers,
#: evenly spaced.
SEQUENCES, MOST_NUMBERS = 4, 256

VARY = "its answers to the same input vary in evaluation mode"


def record_answers(model: nn.Module, splits: PreparedSplits, device: torch.device) -> Answers:
    """Record the answers of a trained model to a few test sequences.

    Args:
        model: on ``device``; left in evaluation mode.

    Returns:
        ``values``, or the ``reason`` why there are none, for example because the model is random
        in evaluation mode. Randomness from torch's default generator is no obstacle.
    """
    inputs = _few(splits)
    answers, reason = _steady_answers(model, inputs, device)
    is_random = not reason and not agree(_answers(model, inputs, device, seed=1), answers)
    return {
        "random": is_random,
        "inputs": _fingerprint(inputs.inputs),
        "values": [] if reason else answers.double().tolist(),
        "outside": state_outside(model),
        "reason": reason,
    }


def _steady_answers(model: nn.Module, inputs: Batch, device: torch.device) -> tuple[Tensor, str]:
    """The answers, or why they are no use for a comparison."""
    try:
        first, second = (_answers(model, inputs, device) for _ in range(2))
    except Exception as error:  # it may not accept so few sequences
        return torch.empty(0), f"it has no answer: {reason_of(error)}"
    if not bool(torch.isfinite(first).all()):
        return first, "its answer is not finite"
    return first, "" if agree(second, first) else VARY


def check_answers(
    model: nn.Module,
    splits: PreparedSplits,
    device: torch.device,
    recorded: Answers | None,
    *,
    choice: Choice,
) -> None:
    """Check that a model with loaded weights answers as the trained model did.

    Differences from rounding are allowed: :data:`seqbench.runtimes.compare.TOLERANCE`.

    Args:
        model: on ``device``, in evaluation mode.
        recorded: None if the run is older than this check, which is then omitted.
        choice: the model, for the error.

    Raises:
        PluginError: it answers differently; the text says why.
    """
    if recorded is None or recorded["reason"]:
        return
    inputs = _few(splits)
    who = f"{choice.name!r} of {choice.distribution} {choice.version}"
    if _fingerprint(inputs.inputs) != recorded["inputs"]:
        raise PluginError(
            f"the dataset was prepared again and now has other test data than {who} was tested on: "
            "make its plugin deterministic, and start a new run"
        )
    expected = torch.tensor(recorded["values"], dtype=torch.float64)
    found = _answers(model, inputs, device)
    if agree(found, expected):
        return
    if not agree(_answers(model, inputs, device), found):
        raise PluginError(f"{who} cannot be compared with the trained model: {VARY}")
    differently = "with another shape"
    if found.shape == expected.shape:
        by = relative_error(found.double(), expected)
        differently = f"differently, by {by:.2g} of the largest value"
    raise PluginError(
        f"{who}, built again and loaded with its trained weights, answers {differently}: "
        f"{what_is_missing(model, recorded['outside'])}"
    )


def fingerprint_of_inputs(splits: PreparedSplits) -> str:
    """Tells the test data of two preparations of a dataset apart: see :class:`Answers`."""
    return _fingerprint(_few(splits).inputs)


def _few(splits: PreparedSplits) -> Batch:
    """The first test sequences, or, if nothing may be padded, the first of one length."""
    test = splits.test
    rows = torch.arange(len(test))
    if test.one_length:
        rows = rows[test.lengths == test.lengths[0]]
    return test.batch(rows[:SEQUENCES])


def _answers(model: nn.Module, inputs: Batch, device: torch.device, seed: int = 0) -> Tensor:
    """Evenly spaced numbers of the answers, on the CPU. Seeds torch's generators."""
    model.eval()
    torch.manual_seed(seed)
    with torch.inference_mode():
        answers = forward_of(model)(inputs.to(device)).cpu().flatten()
    count = min(len(answers), MOST_NUMBERS)
    return answers[torch.linspace(0, len(answers) - 1, count).round().long()]


def agree(found: Tensor, expected: Tensor) -> bool:
    """Whether answers are equal within rounding; the tolerance is that of ``found``'s type."""
    if found.shape != expected.shape:
        return False
    return relative_error(found.double(), expected.double()) <= TOLERANCE.get(found.dtype, 0.0)


def _fingerprint(inputs: Tensor) -> str:
    """Hash of the shape and content of a tensor on the CPU."""
    content: Any = inputs.contiguous().numpy()
    return hashlib.sha256(str(tuple(inputs.shape)).encode() + content.tobytes()).hexdigest()[:10]
