"""NVIDIA GPUs."""

from __future__ import annotations

import gc
import os

import torch

from seqbench.devices import nvidia
from seqbench.devices.base import Pass, Workload, synchronize
from seqbench.errors import DeviceError


def process_total(device: torch.device, missing: dict[str, str]) -> dict[str, int | None]:
    """What the driver says right after the last pass, whose peak torch still has in reserve."""
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    try:
        if uuid is None:
            raise DeviceError("this torch does not tell which GPU of the driver's list it uses")
        return {"process": nvidia.used_by(os.getpid(), f"GPU-{uuid}")}
    except DeviceError as error:
        missing["process"] = str(error)
        return {"process": None}


ALLOCATOR = "CUDA allocator's peak, median of passes"


def allocator_pass(work: Workload, device: torch.device) -> Pass:
    gc.collect()
    synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    synchronize(device)
    peak, reserved = (
        torch.cuda.max_memory_allocated(device),
        torch.cuda.max_memory_reserved(device),
    )
    return Pass(before, peak, reserved)
