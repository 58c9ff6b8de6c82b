"""What a model costs whatever the machine: parameters, bytes, multiply-accumulates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from seqbench import data, models
from seqbench.errors import PluginError
from seqbench.records import Choice, Measurement
from seqbench.types import Task

MACS_METHOD = "operator count of one forward pass at batch 1 on the meta device"


def measure(job: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters, buffers, size of the weights file and multiply-accumulates of one sequence.

    Args:
        job: ``model``, ``data``, ``weights``.

    Returns:
        ``{"measurements": […]}``; multiply-accumulates that cannot be counted are a skipped
        measurement of their own.
    """
    task = data.open_splits(Path(job["data"])).task
    model = models.build(Choice(**job["model"]), task)
    sizes = {
        "parameters": models.parameter_count(model),
        "buffers": sum(buffer.numel() for buffer in model.buffers()),
        "serialized_bytes": Path(job["weights"]).stat().st_size,
    }
    found = [Measurement("cost", "1", {}, sizes, method="counted")]
    at = {"batch_size": 1, "length": task.length}
    try:
        macs = {"macs": count_macs(model, task)}
        found.append(Measurement("macs", "1", at, macs, method=MACS_METHOD))
    except Exception as error:  # a model whose forward looks at values has none on meta
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        found.append(Measurement("macs", "1", at, status="skipped", reason=reason))
    return {"measurements": [asdict(measurement) for measurement in found]}


def count_macs(model: nn.Module, task: Task) -> int:
    """Multiply-accumulates of the matrix products of one forward pass of one whole sequence.

    Counted on ``meta``, where ``model`` is moved to: on the CPU torch's counter misses the fused
    LSTM and says 0.

    Raises:
        PluginError: the count is 0 although the model has parameters.
    """
    shape = (1, task.length) if task.input == "tokens" else (1, task.length, task.input_size)
    kind = torch.int64 if task.input == "tokens" else torch.float32
    x = torch.zeros(shape, dtype=kind, device="meta")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.to("meta").eval()(x)
    macs: int = counter.get_total_flops() // 2
    if macs == 0 and models.parameter_count(model):
        raise PluginError("no multiply-accumulate was counted although the model has parameters")
    return macs
