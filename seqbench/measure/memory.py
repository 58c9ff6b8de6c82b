"""What memory a model needs, and what for, in inference and in a training step."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from seqbench.devices.base import Pass, Workload, median_pass
from seqbench.devices.registry import device_for
from seqbench.errors import DeviceError, reason_of, status_of
from seqbench.measure.payloads import MemoryPayload
from seqbench.measure.subject import Subject
from seqbench.records import Measurement
from seqbench.training.step import Step
from seqbench.workers.context import JobContext

#: Batch normalization needs more than one.
FEW = 2

#: Makes the work for sequences of so many steps, and says what the model holds beside it.
Prepare = Callable[[int], tuple[Workload, dict[str, int]]]


def measure_memory(payload: MemoryPayload, context: JobContext) -> dict[str, Any]:
    """Memory that the model needs: what it holds, and the peak of working memory beyond that.

    Returns:
        ``{"measurements": […]}``: one for each length, the dataset's own first; values as of
        :func:`figures`. One that cannot be had says why, in ``reason``.
    """
    device_for(payload.subject.device).settle_allocator()
    subject = Subject(payload.subject, context.workspace)
    make = _inference if payload.mode == "inference" else _training
    prepare = make(subject, payload)
    own = subject.splits.task.length
    lengths = dict.fromkeys([own, *payload.lengths])
    found = [_at_length(prepare, length, subject, payload) for length in lengths]
    return {"measurements": [asdict(measurement) for measurement in found]}


def _at_length(
    prepare: Prepare, length: int, subject: Subject, payload: MemoryPayload
) -> Measurement:
    at = {"mode": payload.mode, "batch_size": payload.batch_size, "length": length}
    held: dict[str, int] = {}
    try:
        work, held = prepare(length)
        found = subject.kind.memory_passes(work, subject.device)
    except DeviceError as error:  # nobody could tell: no fault of the model
        return Measurement("memory", "B", at, held, "skipped", str(error))
    except Exception as error:  # a plugin's model, at a length that it may not take
        traceback.print_exc()
        return Measurement("memory", "B", at, {}, status_of(error), reason_of(error))
    values = memory_figures(held, found.passes, lower_bound=found.lower_bound)
    _add_process(values, subject)
    return Measurement("memory", "B", at, values, method=found.method)


def _add_process(values: dict[str, Any], subject: Subject) -> None:
    """What the driver counts for this process, where a driver counts: right after the last pass."""
    try:
        counted = subject.kind.process_memory(subject.device)
    except DeviceError as error:
        values["process"], values["missing"]["process"] = None, str(error)
    else:
        if counted is not None:
            values["process"] = counted


def memory_figures(
    held: Mapping[str, int], passes: Sequence[Pass], *, lower_bound: bool = False
) -> dict[str, Any]:
    """Everything in bytes; None where a figure is not to be had, with the reason in ``missing``.

    Args:
        held: ``parameters`` and ``buffers``; in training also ``gradients`` and ``optimizer``.
        passes: what each pass found.
        lower_bound: whether the true peak may be higher.

    Returns:
        ``held``; ``working``: the most beyond ``baseline`` (gradients are part of it);
        ``activations``: ``working`` without the gradients: what the forward pass keeps for the
        backward pass, temporaries, the answer; ``total``: parameters, buffers, optimizer state and
        ``working``, so the sum of the breakdown; ``baseline``, ``peak``, ``reserved``: of the pass
        whose ``working`` is the median (see :class:`seqbench.devices.base.Pass`); ``peaks``:
        ``working`` of each pass; ``low``, ``high``: bounds of ``total`` over the passes.
    """
    middle = median_pass(passes)
    working = [each.working for each in passes]
    gradients = held.get("gradients", 0)
    kept = sum(held.values()) - gradients
    missing: dict[str, str] = {}
    activations: int | None = middle.working - gradients
    if middle.working <= gradients:  # no finer than pages: 0 would say that there is nothing
        activations = None
        missing["activations"] = "too small for the system's accounting of memory"
    needed = [max(each, gradients) for each in working]
    values = {
        **held,
        "activations": activations,
        "working": middle.working,
        "peaks": working,
        "total": kept + max(middle.working, gradients),
        "low": kept + min(needed),
        "high": kept + max(needed),
        "baseline": middle.baseline,
        "peak": middle.peak,
        "lower_bound": lower_bound,
        "missing": missing,
    }
    return values if middle.reserved is None else {**values, "reserved": middle.reserved}


def _inference(subject: Subject, payload: MemoryPayload) -> Prepare:
    held = _held(subject.model)

    def prepare(length: int) -> tuple[Workload, dict[str, int]]:
        inputs = subject.batch(payload.batch_size, length=length)[0]

        def work() -> None:
            with torch.inference_mode():
                subject.model(inputs)

        return work, held

    return prepare


def _training(subject: Subject, payload: MemoryPayload) -> Prepare:
    model = subject.model.train()
    # The schedule has steps enough for every pass of every length.
    step = Step(model, subject.splits.task, payload.subject.train, steps_per_epoch=10**6)

    def prepare(length: int) -> tuple[Workload, dict[str, int]]:
        batch = subject.batch(payload.batch_size, length=length)

        def work() -> None:
            """One whole step, gradients made and freed within it."""
            step(*batch)
            step.optimizer.zero_grad(set_to_none=True)

        # Makes the optimizer's state, and gradients to look at. With the whole batch it would hide
        # the peak where a system tells only the highest so far.
        step(*(tensor[:FEW] for tensor in batch))
        gradients = _bytes(p.grad for p in step.parameters if p.grad is not None)
        step.optimizer.zero_grad(set_to_none=True)
        optimizer = _bytes(_optimizer_tensors(step.optimizer))
        return work, {**_held(model), "gradients": gradients, "optimizer": optimizer}

    return prepare


def _held(model: torch.nn.Module) -> dict[str, int]:
    """Bytes of parameters and of buffers, those that are shared once."""
    return {"parameters": _bytes(model.parameters()), "buffers": _bytes(model.buffers())}


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    ]
