"""Checks that stepping gives the answer of the whole sequence; measures the state's size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from seqbench.errors import PluginError
from seqbench.runtimes.compare import check_equal
from seqbench.training.stepping import run_steps


def check_steps(model: nn.Module, x: Tensor, *, per_step: bool) -> None:
    """Check that stepping through a sequence gives the same answer as the whole sequence.

    Args:
        model: one that can step (see :func:`seqbench.training.stepping.can_step`).
        x: (batch, time[, features]).
        per_step: whether the model answers at every step.

    Raises:
        PluginError: the answers differ.
    """
    answers = run_steps(model, x)[0]
    stepped = torch.stack(answers, dim=1) if per_step else answers[-1]
    try:
        check_equal(stepped, model(x), "step by step")
    except PluginError as error:
        raise PluginError(f"{error}{_first_wrong(model, x, answers, per_step)}") from None


def _first_wrong(model: nn.Module, x: Tensor, answers: Sequence[Tensor], per_step: bool) -> str:
    """The first step whose answer differs from that of the sequence up to it, in words."""
    for position, answer in enumerate(answers):
        expected = model(x[:, : position + 1])
        expected = expected[:, -1] if per_step else expected
        try:
            check_equal(answer, expected, "")
        except PluginError:
            return f"; first difference at step {position + 1} of {len(answers)}"
    return ""


def state_bytes(model: nn.Module, x: Tensor) -> int:
    """Bytes of a model's state for one sequence, after one step.

    Args:
        model: one that can step.
        x: (batch, time[, features]).
    """
    return bytes_of(run_steps(model, x[:1, :1])[1])


def bytes_of(state: Any) -> int:
    """Bytes of all tensors in nested tuples, lists and dictionaries."""
    return sum(leaf.numel() * leaf.element_size() for leaf in _tensors(state))


def _tensors(state: Any) -> Iterator[Tensor]:
    return (leaf for leaf in pytree.tree_leaves(state) if isinstance(leaf, Tensor))
