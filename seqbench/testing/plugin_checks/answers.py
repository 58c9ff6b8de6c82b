"""Answers of a model under examination: what they must look like, how far apart two are."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.testing.plugin_checks.candidate import example
from seqbench.testing.plugin_checks.results import Violation
from seqbench.training.step import loss_of
from seqbench.types import Task

#: How far answers may lie apart that are computed in another order (fp32).
CLOSE = {"rtol": 1e-4, "atol": 1e-5}

NO_VALUES = "it looks at values, so that it cannot be run without any; --device cuda:0 would tell"


def answer(model: Callable[[Tensor], Tensor], x: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    with torch.no_grad():
        return model(x)


def model_loss(model: nn.Module, x: Tensor, y: Tensor, task: Task) -> Tensor:
    return loss_of(model(x), y, task)


def check_answer(kind: str, task: Task, x: Tensor, answer: Any) -> None:
    steps = (x.shape[1],) if task.target == "label_per_step" else ()
    expected = (x.shape[0], *steps, task.output_size)
    came = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
    if came != expected or answer.dtype != torch.float32:
        what = f"{answer.dtype} of shape {came}" if isinstance(answer, Tensor) else came
        raise Violation(
            f"torch.float32 of shape {expected}", f"{what} came", f"{kind}, {example(x)}"
        )
    if not answer.is_meta and not answer.isfinite().all():
        raise Violation("a finite answer", "NaN or infinity came", f"{kind}, {example(x)}")


def apart(one: Tensor, other: Tensor, **close: float) -> str:
    """By how much two answers differ at most, in words; ``""`` if they are close."""
    if one.shape != other.shape:
        return f"their shape ({tuple(one.shape)} and {tuple(other.shape)})"
    if torch.allclose(one, other, **{**CLOSE, **close}):  # type: ignore[arg-type]
        return ""
    return f"{float((one - other).abs().max()):.3g}"


def random_states() -> dict[str, Any]:
    """Of the generators that are not torch's."""
    found: dict[str, Any] = {"the state of Python's random": random.getstate()}
    if "numpy" in sys.modules:
        import numpy as np

        found["the state of numpy's random"] = str(np.random.get_state())
    return found


def looks_at_values(error: BaseException) -> bool:
    """Whether an error says that a tensor on ``meta`` has no values to look at."""
    text = str(error)
    return "meta tensor" in text.lower() and "same device" not in text
