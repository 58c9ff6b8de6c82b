"""Answers of a checked model: their required form, and their differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.testing.plugin_checks.candidate import example
from seqbench.testing.plugin_checks.results import Violation
from seqbench.training.losses import default_loss
from seqbench.types import Task

#: Tolerance for answers computed in another order (fp32).
CLOSE = {"rtol": 1e-4, "atol": 1e-5}

NO_VALUES = "its forward pass depends on values, which meta lacks; try --device cuda:0"


def answer(model: Callable[[Tensor], Tensor], x: Tensor, seed: int = 0) -> Tensor:
    """The model's answer, with torch's generator seeded."""
    torch.manual_seed(seed)
    with torch.no_grad():
        return model(x)


def model_loss(model: nn.Module, x: Tensor, y: Tensor, task: Task) -> Tensor:
    return default_loss(task)(model(x), y)


def check_answer(kind: str, task: Task, x: Tensor, answer: Any, hint: str = "") -> None:
    """Raise Violation unless the answer has the task's shape, is float32 and finite.

    Args:
        hint: what else the author can do about another shape.
    """
    steps = (x.shape[1],) if task.per_step else ()
    expected = (x.shape[0], *steps, task.output_size)
    got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
    if got != expected or answer.dtype != torch.float32:
        what = f"{answer.dtype} of shape {got}" if isinstance(answer, Tensor) else f"{got}"
        expected_words = f"torch.float32 of shape {expected}{hint}"
        raise Violation(expected_words, what, f"{kind}, {example(x)}")
    if not answer.is_meta and not answer.isfinite().all():
        raise Violation("a finite answer", "NaN or infinity", f"{kind}, {example(x)}")


def apart(one: Tensor, other: Tensor, **close: float) -> str:
    """The largest difference of two answers, in words; ``""`` if they are close."""
    if one.shape != other.shape:
        return f"shape: {tuple(one.shape)} and {tuple(other.shape)}"
    if torch.allclose(one, other, **{**CLOSE, **close}):  # type: ignore[arg-type]
        return ""
    return f"{float((one - other).abs().max()):.3g}"


def looks_at_values(error: BaseException) -> bool:
    """Whether an error was raised because tensors on ``meta`` have no values."""
    text = str(error)
    return "meta tensor" in text.lower() and "same device" not in text
