"""The contract of a device, implemented by ``cpu.py``, ``cuda.py``, …

Suites are validated with this module and those that implement :class:`Device`, so none of them
imports torch at module level.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch

#: A single pass may reuse memory that the C library retained, so the median of several is reported.
PASSES = 9

Workload = Callable[[], None]


@dataclass(frozen=True)
class Pass:
    """Memory in one pass, in bytes.

    Args:
        baseline: in use before the pass, by the whole process on a CPU, by all tensors on CUDA.
        peak: the maximum in use during the pass, counted in the same way.
        reserved: on CUDA, the maximum that torch's allocator reserved from the driver.
    """

    baseline: int
    peak: int
    reserved: int | None = None

    @property
    def working(self) -> int:
        """The peak above the baseline."""
        return max(0, self.peak - self.baseline)


def median_pass(passes: Sequence[Pass]) -> Pass:
    """The pass whose ``working`` is the median; the lower of the two middle ones."""
    return sorted(passes, key=lambda each: each.working)[(len(passes) - 1) // 2]


@dataclass(frozen=True)
class PeakMemory:
    """The passes of one workload, and how their peaks were measured.

    Args:
        passes: one or more.
        method: a few words for the record.
        lower_bound: whether the true peak may be higher.
    """

    passes: Sequence[Pass]
    method: str
    lower_bound: bool = False


class Device(ABC):
    """One kind of hardware. Names are those in a suite: ``cpu``, ``cuda``, ``cuda:1``."""

    #: A regular expression that matches the whole of every name that a suite may use.
    names: ClassVar[str]
    #: Example names, for messages.
    examples: ClassVar[str]
    #: Names that users give to this kind of device elsewhere; messages suggest ``examples``' first.
    aliases: ClassVar[Sequence[str]] = ()
    #: Whether jobs compute on CPU cores, so that as many run in parallel as there are cores.
    #: Otherwise each device runs one job at a time, which takes one core.
    shares_cores: ClassVar[bool] = False
    #: Whether tensors are in host memory, so that a worker's memory limit covers them.
    uses_host_memory: ClassVar[bool] = False
    #: Whether the thread of a timed block is pinned to a CPU core: it computes or launches kernels.
    pins_to_core: ClassVar[bool] = False

    @abstractmethod
    def available(self) -> dict[str, str]:
        """The devices of this kind on this machine, by full name, each with its description.

        Imports torch.
        """

    def full_name(self, name: str) -> str:
        """The full name of a device: ``cuda:0`` for ``cuda``."""
        return name

    def torch_device(self, name: str) -> torch.device:
        """The device as a torch object."""
        import torch

        return torch.device(name)

    @abstractmethod
    def synchronize(self, device: torch.device) -> None:
        """Wait until the device has finished all submitted work. Part of each timed call."""

    def use_full_precision(self) -> None:  # noqa: B027 - most kinds need nothing
        """Make torch compute float32 as float32. Called at the start of every worker, and again
        after a plugin has built a model, since plugins may change these settings.
        """

    def make_deterministic(self) -> None:  # noqa: B027 - most kinds need nothing
        """Make torch use deterministic kernels where they exist. Called before training."""

    def random_state(self, device: torch.device) -> torch.Tensor | None:
        """The state of the device's own random generator; None if it uses that of the CPU."""
        return None

    def set_random_state(self, state: torch.Tensor, device: torch.device) -> None:  # noqa: B027
        """Restore what :meth:`random_state` returned, unless it was None."""

    def settle_allocator(self) -> None:  # noqa: B027 - most kinds need nothing
        """Prepare this process for :meth:`memory_passes`. Called before a model is loaded."""

    @abstractmethod
    def memory_passes(self, workload: Workload, device: torch.device) -> PeakMemory:
        """Run ``workload`` one or more times and measure the peak memory of each pass.

        Raises:
            DeviceError: peak memory cannot be measured; the text is the reason.
        """

    def process_memory(self, device: torch.device) -> int | None:
        """Bytes that this process occupies on the device, as reported by its driver.

        None if this kind of device does not report it.

        Raises:
            DeviceError: the figure is unavailable; the text is the reason.
        """
        return None
