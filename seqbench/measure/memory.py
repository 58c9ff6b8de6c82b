"""Peak memory of inference and of a training step, in a pass of its own."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqbench import training
from seqbench.measure.subject import Subject, synchronize
from seqbench.records import Measurement

CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


def measure(job: Mapping[str, Any]) -> dict[str, Any]:
    """Memory that the model needs: what it holds, and the peak of working memory beyond that.

    The pass is run once before it is measured, so that what libraries set up once (kernels, thread
    pools) does not count as the model's.

    Args:
        job: as for :class:`Subject`, with ``mode`` (``inference`` or ``training``),
            ``batch_size`` and ``train`` (the case's training settings).

    Returns:
        ``{"measurements": […]}``: one, in bytes: ``total`` = parameters, buffers and optimizer
        state + ``working``, the peak of everything else (activations; in training gradients too).
    """
    subject = Subject(job)
    inputs, targets = subject.batch(job["batch_size"], "test")
    held = {
        "parameters": _bytes(subject.model.parameters()),
        "buffers": _bytes(subject.model.buffers()),
    }
    if job["mode"] == "inference":
        subject.model.eval()
        work = _inference(subject, inputs)
    else:
        subject.model.train()
        optimizer = training.make_optimizer(
            list(subject.model.parameters()), job["train"]["optimizer"]
        )
        work = _training_step(subject, optimizer, inputs, targets)
    work()
    if job["mode"] == "training":
        held["optimizer"] = _bytes(_optimizer_tensors(optimizer))
    baseline, peak, method = peak_bytes(work, subject.device)
    values = {**held, "working": max(0, peak - baseline), "baseline": baseline, "peak": peak}
    values["total"] = sum(held.values()) + values["working"]
    at = {"mode": job["mode"], "batch_size": job["batch_size"]}
    return {"measurements": [asdict(Measurement("memory", "B", at, values, method=method))]}


def _inference(subject: Subject, inputs: Tensor) -> Callable[[], None]:
    def work() -> None:
        with torch.inference_mode():
            subject.model(inputs)

    return work


def _training_step(
    subject: Subject, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor
) -> Callable[[], None]:
    """One whole step, gradients made and freed within it."""

    def work() -> None:
        loss = training.loss_of(subject.model(inputs), targets, subject.splits.task)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return work


def peak_bytes(work: Callable[[], None], device: torch.device) -> tuple[int, int, str]:
    """Bytes in use before ``work``, the peak while it ran, and how that was found.

    On CUDA: the allocator's own peak. On Linux: the kernel's own peak of resident memory, reset
    before (proc(5), ``clear_refs``), after freed memory was given back to it; no sampling, so a
    short peak counts. Elsewhere: the peak of the process so far, which misses what stays below an
    earlier peak.
    """
    gc.collect()
    if device.type == "cuda":
        synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        synchronize(device)
        return before, torch.cuda.max_memory_allocated(device), "CUDA allocator, peak allocated"
    if CLEAR_REFS.exists():
        _give_back_freed_memory()
        CLEAR_REFS.write_text("5")
        before = _status_bytes("VmRSS")
        work()
        return before, _status_bytes("VmHWM"), "kernel's peak of resident memory"
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return before, peak, "peak of the process so far (lower bound)"


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
