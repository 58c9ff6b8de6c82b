"""Memory that a model needs in inference and in a training step, with its breakdown."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from seqbench.devices.base import Pass, Workload, median_pass
from seqbench.devices.registry import device_for
from seqbench.errors import DeviceError, NotApplicable, reason_of, status_of
from seqbench.measure.payloads import MemoryPayload
from seqbench.measure.subject import Subject
from seqbench.records import Measurement
from seqbench.training.estimators import UNKNOWN_SIZE
from seqbench.training.step import Step
from seqbench.workers.context import JobContext

#: Batch size for creating gradients and optimizer state; batch normalization needs more than one.
SMALL_BATCH = 2

#: Returns the workload for sequences of a given length, and the bytes that the model itself holds.
Prepare = Callable[[int], tuple[Workload, dict[str, int]]]


def measure_memory(payload: MemoryPayload, context: JobContext) -> dict[str, Any]:
    """Measure what the model itself holds, and the peak of working memory beyond that.

    Returns:
        ``{"measurements": […]}``: one for each length, the dataset's own first, with the values of
        :func:`memory_figures`; an unavailable one has a ``reason``.
    """
    if payload.subject.model.is_estimator:
        at = {"mode": payload.mode, "batch_size": payload.batch_size}
        skipped = Measurement("memory", "B", at, status="skipped", reason=UNKNOWN_SIZE)
        return {"measurements": [asdict(skipped)]}
    device_for(payload.subject.device).settle_allocator()
    # Checked after inference: an earlier peak would hide that of a pass on systems that only report
    # the highest peak so far. Training changes the weights, which are those of inference.
    trains = payload.mode == "training"
    subject = Subject(payload.subject, context.workspace, check=False)
    prepare_for = _training if trains else _inference
    prepare = prepare_for(subject, payload)
    own = subject.splits.task.length
    lengths = dict.fromkeys([own, *payload.lengths])
    measurements = [_at_length(prepare, length, subject, payload) for length in lengths]
    if not trains:
        subject.check()
    return {"measurements": [asdict(measurement) for measurement in measurements]}


def _at_length(
    prepare: Prepare, length: int, subject: Subject, payload: MemoryPayload
) -> Measurement:
    at = {"mode": payload.mode, "batch_size": payload.batch_size, "length": length}
    held: dict[str, int] = {}
    try:
        subject.require_length(length)
        workload, held = prepare(length)
        peak = subject.kind.memory_passes(workload, subject.device)
    except (DeviceError, NotApplicable) as error:  # a limitation of the system, or a declared one
        return Measurement("memory", "B", at, held, status="skipped", reason=str(error))
    except Exception as error:  # a plugin's model may not support this length
        traceback.print_exc()
        return Measurement("memory", "B", at, status=status_of(error), reason=reason_of(error))
    values = memory_figures(held, peak.passes, lower_bound=peak.lower_bound)
    _add_process(values, subject)
    return Measurement("memory", "B", at, values, method=peak.method)


def _add_process(values: dict[str, Any], subject: Subject) -> None:
    """Add the driver's count for this process, if any; called right after the last pass."""
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
    """The memory figures of several passes, in bytes.

    An unavailable figure is None, with its reason in ``missing``.

    Args:
        held: ``parameters`` and ``buffers``; in training also ``gradients`` and ``optimizer``.
        passes: the passes of one workload.
        lower_bound: whether the true peak may be higher.

    Returns:
        ``held``; ``working``: the maximum beyond ``baseline`` (it includes gradients);
        ``activations``: ``working`` without the gradients: tensors kept for the backward pass,
        temporaries, the answer; ``total``: parameters, buffers, optimizer state and ``working``,
        so the sum of the breakdown; ``baseline``, ``peak``, ``reserved``: of the pass whose
        ``working`` is the median (see :class:`seqbench.devices.base.Pass`); ``peaks``:
        ``working`` of each pass; ``low``, ``high``: bounds of ``total`` over the passes.
    """
    middle = median_pass(passes)
    working = [each.working for each in passes]
    gradients = held.get("gradients", 0)
    kept = sum(held.values()) - gradients
    missing: dict[str, str] = {}
    activations: int | None = middle.working - gradients
    if middle.working <= gradients:  # below the resolution of a page; 0 would be wrong
        activations = None
        missing["activations"] = "too small for the system's memory accounting"
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
        inputs = subject.batch(payload.batch_size, length=length).inputs

        def workload() -> None:
            with torch.inference_mode():
                subject.model(inputs)

        return workload, held

    return prepare


def _training(subject: Subject, payload: MemoryPayload) -> Prepare:
    model = subject.model.train()
    step = Step.for_measuring(model, subject.splits, payload.subject.train)

    def prepare(length: int) -> tuple[Workload, dict[str, int]]:
        batch = subject.batch(payload.batch_size, length=length)
        # More than two batches need no more: each adds to the gradients of the first.
        batches = [batch] * min(payload.subject.train.get("accumulate", 1), 2)

        def workload() -> None:
            """One whole training step, within which gradients are created and freed."""
            step(*batches)
            step.optimizer.zero_grad(set_to_none=True)

        # Creates the optimizer state, and gradients to count. The whole batch would hide the peak
        # on systems that only report the highest peak so far.
        step(batch.first(SMALL_BATCH))
        gradients = _bytes(p.grad for p in step.parameters if p.grad is not None)
        step.optimizer.zero_grad(set_to_none=True)
        optimizer = _bytes([*_optimizer_tensors(step.optimizer), *_average_tensors(step)])
        return workload, {**_held(model), "gradients": gradients, "optimizer": optimizer}

    return prepare


def _held(model: torch.nn.Module) -> dict[str, int]:
    """Bytes of parameters and of buffers; shared ones count once."""
    return {"parameters": _bytes(model.parameters()), "buffers": _bytes(model.buffers())}


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _average_tensors(step: Step) -> Iterable[Tensor]:
    """The running average of the weights, which counts as state of the optimizer; shared ones count
    once.
    """
    if step.average is None:
        return ()
    module = step.average.module
    return itertools.chain(module.parameters(), module.buffers())


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    ]
