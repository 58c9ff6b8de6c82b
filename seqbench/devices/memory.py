"""How high memory rises on each device."""

from __future__ import annotations

import torch

from seqbench.devices.base import PASSES, Pass, Workload
from seqbench.devices.cpu import CLEAR_REFS, KERNEL, SO_FAR, kernel_pass, only_pass
from seqbench.devices.cuda import ALLOCATOR, allocator_pass
from seqbench.errors import DeviceError


def memory_passes(work: Workload, device: torch.device) -> tuple[list[Pass], str]:
    """Does ``work`` several times and tells of each how high memory rose, and how that was found.

    On CUDA: the allocator's own peak. On Linux: the kernel's own peak of resident memory, reset
    before (proc(5), ``clear_refs``), after freed memory was given back to it; no sampling, so a
    short peak counts. In both ways ``work`` is done once beforehand, so that what libraries set up
    once (kernels, thread pools) does not count. Elsewhere: how much the peak of the process grew in
    the first pass, which misses what stays below an earlier peak.

    Raises:
        DeviceError: there is no way to measure here; the text is the reason.
    """
    if device.type == "cuda":
        work()
        return [allocator_pass(work, device) for _ in range(PASSES)], ALLOCATOR
    if device.type == "mps":
        raise DeviceError(
            "torch keeps no peak for mps: it tells only what its pool holds, in whole heaps"
        )
    if device.type != "cpu":
        raise DeviceError(f"peak memory cannot be measured on {device.type}")
    if CLEAR_REFS.exists():
        work()
        return [kernel_pass(work) for _ in range(PASSES)], KERNEL
    return [only_pass(work)], SO_FAR
