"""NVIDIA GPUs."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

from seqbench.devices import nvidia
from seqbench.devices.base import PASSES, Device, Pass, PeakMemory, Workload
from seqbench.errors import DeviceError

if TYPE_CHECKING:
    import torch

ALLOCATOR = "CUDA allocator's peak, median of passes"


def tf32_allowed() -> dict[str, bool]:
    """Whether torch may use NVIDIA's TF32 format instead of float32: in ``matmul``, ``cudnn``."""
    import torch

    return {
        "matmul": torch.backends.cuda.matmul.allow_tf32,
        "cudnn": torch.backends.cudnn.allow_tf32,
    }


class Cuda(Device):
    """NVIDIA GPUs; ``cuda`` is the first one, ``cuda:N`` the one with torch's index N."""

    names = "cuda(:(0|[1-9][0-9]{0,2}))?"
    examples = "cuda, cuda:0, cuda:1, …"
    aliases = ("gpu", "nvidia", "rocm", "hip")
    #: Small models wait for the thread that launches kernels, and its core decides how fast it is:
    #: on an H200, intervals of the ratio of two equal models were ±1.4 % pinned and ±8 % free.
    pins_to_core = True

    def available(self) -> dict[str, str]:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return {f"cuda:{number}": torch.cuda.get_device_name(number) for number in range(count)}

    def full_name(self, name: str) -> str:
        return name if ":" in name else f"{name}:0"

    def synchronize(self, device: torch.device) -> None:
        import torch

        torch.cuda.synchronize(device)

    def use_full_precision(self) -> None:
        """Turn TF32 off: by default, cuDNN uses it and matrix products do not."""
        import torch

        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False

    def make_deterministic(self) -> None:
        """Make torch use deterministic kernels; kernels without such a version warn and run."""
        import torch

        torch.use_deterministic_algorithms(True, warn_only=True)

    def random_state(self, device: torch.device) -> torch.Tensor:
        """The state of the generator of this GPU."""
        import torch

        return torch.cuda.get_rng_state(device)

    def set_random_state(self, state: torch.Tensor, device: torch.device) -> None:
        """Restore it."""
        import torch

        torch.cuda.set_rng_state(state.cpu(), device)

    def memory_passes(self, workload: Workload, device: torch.device) -> PeakMemory:
        """Measure the peak of torch's allocator. ``workload`` runs once before, so that one-time
        initialization (kernels, workspaces) does not count.
        """
        workload()
        return PeakMemory([self._pass(workload, device) for _ in range(PASSES)], ALLOCATOR)

    def _pass(self, workload: Workload, device: torch.device) -> Pass:
        import torch

        gc.collect()
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        workload()
        torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device)
        return Pass(before, peak, torch.cuda.max_memory_reserved(device))

    def process_memory(self, device: torch.device) -> int:
        """Bytes reported by the driver: tensors, torch's reserve (which still includes the last
        pass's peak), kernels and context.
        """
        import torch

        uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
        if uuid is None:
            raise DeviceError("this version of torch does not report the UUID of its GPU")
        return nvidia.used_by(os.getpid(), f"GPU-{uuid}")
