"""What seqbench asks of a kind of device: the contract that ``cpu.py``, ``cuda.py``, … implement.

Importing this module, or a module that implements :class:`Device`, imports no torch: suites are
validated with them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
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
        reserved: where torch keeps a reserve: the most that its allocator held from the driver.
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


@dataclass(frozen=True)
class PeakMemory:
    """The passes of one workload, and how their peaks were found.

    Args:
        passes: one or more.
        method: a few words for the record.
        lower_bound: whether the true peak may be higher.
    """

    passes: Sequence[Pass]
    method: str
    lower_bound: bool = False


class Device(ABC):
    """One kind of hardware. Names are those in a suite, as ``cpu``, ``cuda`` or ``cuda:1``."""

    #: The names that a suite may use: a regular expression for the whole of one.
    names: ClassVar[str]
    #: Some of them, for messages.
    examples: ClassVar[str]
    #: Whether its jobs compute on CPU cores, so that as many run at once as there are cores.
    #: Otherwise one job at a time runs on each device, and takes one core.
    shares_cores: ClassVar[bool] = False
    #: Whether tensors lie in the host's memory, so that a worker's memory limit covers them.
    uses_host_memory: ClassVar[bool] = False
    #: Whether a timed block on one thread can be pinned to a CPU core.
    pins_to_core: ClassVar[bool] = False

    @abstractmethod
    def available(self) -> dict[str, str]:
        """The devices of this kind on this machine, by full name, each with its description.

        Imports torch.
        """

    def full_name(self, name: str) -> str:
        """The device that a short name stands for: ``cuda:0`` for ``cuda``."""
        return name

    def torch_device(self, name: str) -> torch.device:
        """What torch calls the device."""
        import torch

        return torch.device(name)

    @abstractmethod
    def synchronize(self, device: torch.device) -> None:
        """Waits until the device has finished all work submitted to it. Part of each timed call."""

    def make_deterministic(self) -> None:  # noqa: B027 - most kinds need nothing
        """Makes torch choose deterministic kernels, where it has others. Called before training."""

    def settle_allocator(self) -> None:  # noqa: B027 - most kinds need nothing
        """Prepares this process for :meth:`memory_passes`; called before a model is loaded."""

    @abstractmethod
    def memory_passes(self, work: Workload, device: torch.device) -> PeakMemory:
        """Runs ``work`` one or more times and measures how high memory rises in each pass.

        Raises:
            DeviceError: peak memory cannot be measured here; the text is the reason.
        """

    def process_memory(self, device: torch.device) -> int | None:
        """Bytes that this process occupies on the device, as its driver counts them.

        None if this kind of device has no such count.

        Raises:
            DeviceError: the driver does not say; the text is the reason.
        """
        return None
