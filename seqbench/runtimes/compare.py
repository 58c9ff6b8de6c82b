"""Compares answers with expected ones, within rounding tolerance."""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.errors import PluginError

#: Allowed difference from the plain model's answer, relative to the largest value of the answer:
#: rounding differs, and accumulates over the steps of a sequence.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


def check_answer(found: object, expected: Tensor, what: str) -> None:
    """Check that a runtime's answer is a tensor on the expected device, and correct.

    Raises:
        PluginError: it is not.
    """
    if not isinstance(found, Tensor):
        raise PluginError(f"{what}: the answer is {type(found).__name__}, not a tensor")
    if found.device != expected.device:
        raise PluginError(f"{what}: the answer is on {found.device}, not on {expected.device}")
    check_equal(found, expected, what)


def check_equal(found: Tensor, expected: Tensor, what: str) -> None:
    """Compare an answer with that of the plain model.

    Raises:
        PluginError: the shapes differ, or the values differ by more than ``TOLERANCE``.
    """
    if found.shape != expected.shape:
        raise PluginError(
            f"{what}: the answer has shape {tuple(found.shape)}, not {tuple(expected.shape)}"
        )
    error = relative_error(found, expected)
    allowed = TOLERANCE.get(expected.dtype, 0.0)
    if not error <= allowed:  # false for NaN
        raise PluginError(
            f"{what}: the answer differs from that of the whole sequence in eager mode by "
            f"{_beside(error, allowed)} times the largest value; allowed: {allowed:.0e}"
        )


def _beside(error: float, allowed: float) -> str:
    """The error with two significant digits, or as many as it takes to differ from the limit."""
    texts = (f"{error:.{digits}g}" for digits in range(2, 17))
    return next((text for text in texts if float(text) != allowed), f"{error:.17g}")


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest expected value."""
    found, expected = found.detach(), expected.detach()
    scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    return float((found - expected).abs().max() / scale)
