"""What seqbench asks of a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

#: A single pass may find memory that the C library had kept: the median of several is reported.
PASSES = 9

Workload = Callable[[], None]


@dataclass(frozen=True)
class Pass:
    """What one pass found, in bytes.

    Args:
        baseline: in use before it: of the whole process on a CPU, of all tensors on CUDA.
        peak: the most that was in use at any moment of it, in the same terms.
        reserved: CUDA only: the most that torch's allocator held from the driver.
    """

    baseline: int
    peak: int
    reserved: int | None = None

    @property
    def working(self) -> int:
        """What the pass needed beyond what was in use before it."""
        return max(0, self.peak - self.baseline)


def median_pass(passes: Sequence[Pass]) -> Pass:
    """The pass whose ``working`` is the median; the lower of the two middle ones."""
    return sorted(passes, key=lambda each: each.working)[(len(passes) - 1) // 2]


def synchronize(device: torch.device) -> None:
    """Waits until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
