"""The Apple silicon GPU, through Metal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqbench.devices.base import Device, PeakMemory, Workload
from seqbench.errors import DeviceError

if TYPE_CHECKING:
    import torch


class Mps(Device):
    """The Apple GPU: at most one, without an index."""

    names = examples = "mps"
    aliases = ("metal", "apple")

    def available(self) -> dict[str, str]:
        import torch

        return {"mps": "Apple GPU (Metal)"} if torch.backends.mps.is_available() else {}

    def synchronize(self, device: torch.device) -> None:
        import torch

        torch.mps.synchronize()

    def random_state(self, device: torch.device) -> torch.Tensor:
        """The state of the GPU's generator."""
        import torch

        return torch.mps.get_rng_state()

    def set_random_state(self, state: torch.Tensor, device: torch.device) -> None:
        """Restore it."""
        import torch

        torch.mps.set_rng_state(state.cpu())

    def memory_passes(self, workload: Workload, device: torch.device) -> PeakMemory:
        raise DeviceError(
            "torch does not report peak memory on mps, only the size of its pool in whole heaps"
        )
