"""Hardware-independent cost of a model: parameters, bytes, multiply-accumulates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from seqbench.errors import NotApplicable, PluginError, reason_of
from seqbench.measure import operators
from seqbench.measure.payloads import CostPayload
from seqbench.measure.subject import Subject
from seqbench.records import Measurement
from seqbench.training.estimators import UNKNOWN_SIZE
from seqbench.training.model import parameter_count
from seqbench.types import Task
from seqbench.workers.context import JobContext

MACS_METHOD = "operator count of one forward pass at batch 1 on the meta device"


def measure_cost(payload: CostPayload, context: JobContext) -> dict[str, Any]:
    """Count parameters, buffers, bytes of the weights file and multiply-accumulates per sequence.

    Returns:
        ``{"measurements": […]}``: the cost, the kernels of one forward pass (see
        :func:`seqbench.measure.operators.recorded_operators`), and multiply-accumulates for each
        length, the dataset's own first. If they cannot be counted, the measurement is skipped.
    """
    if payload.subject.model.is_estimator:
        skipped = [
            Measurement(quantity, "1", status="skipped", reason=UNKNOWN_SIZE)
            for quantity in ("cost", "macs")
        ]
        return {"measurements": [asdict(measurement) for measurement in skipped]}
    subject = Subject(payload.subject, context.workspace)
    sizes = {
        "parameters": parameter_count(subject.model),
        "buffers": sum(buffer.numel() for buffer in subject.model.buffers()),
        "serialized_bytes": (context.workspace.run / payload.subject.weights).stat().st_size,
    }
    task = subject.splits.task
    lengths = dict.fromkeys([task.length, *payload.lengths])
    measurements = [
        Measurement("cost", "1", {}, sizes, method="counted"),
        _kernels(subject),
        *_macs(subject, lengths),
    ]
    return {"measurements": [asdict(measurement) for measurement in measurements]}


def _kernels(subject: Subject) -> Measurement:
    at = {"batch_size": 1, "length": subject.splits.task.length, "mode": "inference"}
    try:
        values = operators.recorded_operators(subject.model, subject.batch(1).inputs)
    except Exception as error:  # a plugin's model may not accept a batch of one
        return Measurement("ops", "1", at, status="skipped", reason=reason_of(error))
    return Measurement("ops", "1", at, values, method=operators.METHOD)


def _macs(subject: Subject, lengths: Mapping[int, Any]) -> Iterator[Measurement]:
    for length in lengths:
        at = {"batch_size": 1, "length": length}
        try:
            subject.require_length(length)
            macs = {"macs": count_macs(subject.model, subject.splits.task, length)}
            yield Measurement("macs", "1", at, macs, method=MACS_METHOD)
        except NotApplicable as error:
            yield Measurement("macs", "1", at, status="skipped", reason=str(error))
        except PluginError as error:
            yield Measurement("macs", "1", at, status="failed", reason=str(error))
        except Exception as error:  # tensors on meta have no values for forward to read
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            yield Measurement("macs", "1", at, status="skipped", reason=reason)


def count_macs(model: nn.Module, task: Task, length: int | None = None) -> int:
    """Multiply-accumulates of the matrix products in one forward pass of one whole sequence.

    A product of complex numbers counts as four.

    Counted on the device ``meta``, to which ``model`` is moved: on the CPU, torch's counter misses
    the fused LSTM and returns 0.

    Args:
        length: number of steps; by default the dataset's own length.

    Raises:
        PluginError: the count is 0 although the model has parameters.
    """
    steps = task.length if length is None else length
    shape = (1, steps) if task.input == "tokens" else (1, steps, task.input_size)
    kind = torch.int64 if task.input == "tokens" else torch.float32
    x = torch.zeros(shape, dtype=kind, device="meta")
    # Not in inference mode: moved weights could no longer be used to compute other weights.
    model.to("meta").eval()
    formulas = {operator: _with_complex(formula) for operator, formula in flop_registry.items()}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        model(x)
    macs: int = counter.get_total_flops() // 2
    if macs == 0 and parameter_count(model):
        raise PluginError("no multiply-accumulates were counted although the model has parameters")
    return macs


def _with_complex(formula: Callable[..., int]) -> Callable[..., int]:
    """torch's count for an operator, with a complex product counted as four real ones."""

    def count(*args: Any, out_val: Any = None, **more: Any) -> int:
        flops = formula(*args, out_val=out_val, **more)
        return 4 * flops if isinstance(out_val, Tensor) and out_val.is_complex() else flops

    count._get_raw = True  # type: ignore[attr-defined]  # it receives tensors, not their shapes
    return count
