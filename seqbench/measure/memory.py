"""Peak memory of inference and of a training step, in a pass of its own."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from seqbench import training
from seqbench.errors import DeviceError
from seqbench.measure.subject import Subject, synchronize
from seqbench.records import Measurement

CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
#: A single pass may find memory that the C library had kept: the median of several is reported.
PASSES = 9
#: mallopt(3): blocks above this size are given back to the system as soon as they are freed.
M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES = -3, 64 * 1024

Work = Callable[[], None]


def measure(job: Mapping[str, Any]) -> dict[str, Any]:
    """Memory that the model needs: what it holds, and the peak of working memory beyond that.

    Args:
        job: as for :class:`Subject`, with ``mode`` (``inference`` or ``training``),
            ``batch_size`` and ``train`` (the case's training settings).

    Returns:
        ``{"measurements": […]}``: one, in bytes: ``total`` = parameters, buffers and optimizer
        state + ``working``, the peak of everything else (activations; in training gradients too).
        ``low`` and ``high`` bound ``total`` over the passes; ``peaks`` has ``working`` of each.

    Raises:
        DeviceError: there is no way to measure on that device.
    """
    _settle_allocator()
    subject = Subject(job)
    batch = subject.batch(job["batch_size"])
    held = {
        "parameters": _bytes(subject.model.parameters()),
        "buffers": _bytes(subject.model.buffers()),
    }
    if job["mode"] == "inference":
        peaks, method = working_peaks(_inference(subject, batch[0]), subject.device)
    else:
        subject.model.train()
        step = training.Step(subject.model, subject.splits.task, job["train"], steps_per_epoch=1)
        work = _training_step(step, *batch)
        peaks, method = working_peaks(work, subject.device)
        held["optimizer"] = _bytes(_optimizer_tensors(step.optimizer))
    total = sum(held.values())
    values = {
        **held,
        "working": round(median(peaks)),
        "peaks": peaks,
        "total": total + round(median(peaks)),
        "low": total + min(peaks),
        "high": total + max(peaks),
        "lower_bound": method == SO_FAR,
    }
    at = {"mode": job["mode"], "batch_size": job["batch_size"]}
    return {"measurements": [asdict(Measurement("memory", "B", at, values, method=method))]}


def _inference(subject: Subject, inputs: Tensor) -> Work:
    def work() -> None:
        with torch.inference_mode():
            subject.model(inputs)

    return work


def _training_step(step: training.Step, inputs: Tensor, targets: Tensor) -> Work:
    """One whole step, gradients made and freed within it."""

    def work() -> None:
        step(inputs, targets)
        step.optimizer.zero_grad(set_to_none=True)

    return work


ALLOCATOR = "CUDA allocator's peak, median of passes"
KERNEL = "kernel's peak of resident memory, median of passes"
SO_FAR = "peak of the process so far, one pass (lower bound)"


def working_peaks(work: Work, device: torch.device) -> tuple[list[int], str]:
    """Peak bytes that ``work`` needed beyond what was in use before it, and how that was found.

    On CUDA: the allocator's own peak. On Linux: the kernel's own peak of resident memory, reset
    before (proc(5), ``clear_refs``), after freed memory was given back to it; no sampling, so a
    short peak counts. In both ways ``work`` is run once beforehand, so that what libraries set up
    once (kernels, thread pools) does not count, and then several times. Elsewhere: how much the
    peak of the process grew in the first pass, which misses what stays below an earlier peak.

    Raises:
        DeviceError: there is no way to measure on that device.
    """
    if device.type == "cuda":
        work()
        return [_allocator_peak(work, device) for _ in range(PASSES)], ALLOCATOR
    if device.type != "cpu":
        raise DeviceError(f"peak memory cannot be measured on {device.type}")
    if CLEAR_REFS.exists():
        work()
        return [_kernel_peak(work) for _ in range(PASSES)], KERNEL
    before = _peak_so_far()
    work()
    return [_peak_so_far() - before], SO_FAR


def _allocator_peak(work: Work, device: torch.device) -> int:
    gc.collect()
    synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _kernel_peak(work: Work) -> int:
    gc.collect()
    _give_back_freed_memory()
    CLEAR_REFS.write_text("5")
    before = _status_bytes("VmRSS")
    work()
    return max(0, _status_bytes("VmHWM") - before)


def _peak_so_far() -> int:
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _settle_allocator() -> None:
    """Fixes the C library's threshold, which otherwise moves with what was freed before."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)


def _status_bytes(key: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no {key}")


def _give_back_freed_memory() -> None:
    """Without it memory that was freed but kept by the C library would be used again unseen."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    ]
