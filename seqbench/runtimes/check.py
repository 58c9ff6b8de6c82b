"""Whether two ways to compute the same thing agree."""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.errors import PluginError

#: How far the answers of two ways to compute the same may be apart, as a share of the largest
#: answer: rounding differs, and adds up over the steps of a sequence.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


def check_answer(found: object, expected: Tensor, what: str) -> None:
    """Checks that a runtime's answer is a tensor, where and what the plain model's is.

    Raises:
        PluginError: it is not.
    """
    if not isinstance(found, Tensor):
        raise PluginError(f"{what}: the answer is {type(found).__name__}, not a tensor")
    if found.device != expected.device:
        raise PluginError(f"{what}: the answer is on {found.device}, not on {expected.device}")
    check_equal(found, expected, what)


def check_equal(found: Tensor, expected: Tensor, what: str) -> None:
    """Checks an answer against that of the plain model.

    Raises:
        PluginError: it has another shape, or is further off than ``TOLERANCE``.
    """
    if found.shape != expected.shape:
        raise PluginError(
            f"{what}: the answer has shape {tuple(found.shape)}, not {tuple(expected.shape)}"
        )
    error = relative_error(found, expected)
    allowed = TOLERANCE.get(expected.dtype, 0.0)
    if not error <= allowed:  # NaN is an error too
        raise PluginError(
            f"{what}: the answer differs from that of the whole sequence in eager mode by "
            f"{error:.2g} of the largest value; {allowed:.0e} is allowed"
        )


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest difference as a share of the largest expected value."""
    found, expected = found.detach(), expected.detach()
    scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    return float((found - expected).abs().max() / scale)
