"""What a plugin's metric says of a trained model."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.measure.payloads import MetricPayload
from seqbench.measure.subject import Subject
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object
from seqbench.plugins.provenance import check_unchanged
from seqbench.training.evaluation import EVALUATION_BATCH
from seqbench.types import Task
from seqbench.workers.context import JobContext


def score_model(payload: MetricPayload, context: JobContext) -> dict[str, Any]:
    """What a metric says of a trained model on the test split.

    Returns:
        ``status``, ``value`` and ``reason``: ``ok`` with a finite number, or ``skipped`` where the
        metric is not for such targets.

    Raises:
        PluginError: the metric does not keep the contract. Whatever its own code raises.
    """
    metric, subject = payload.metric, Subject(payload.subject, context.workspace)
    task = subject.splits.task
    if task.target not in metric.targets:
        suits = ", ".join(metric.targets)
        reason = f"it is for {suits}, not for {task.target}"
        return {"status": "skipped", "value": None, "reason": reason}
    value = score_split(
        subject.model, *subject.splits.test,
        task=task, device=subject.device, choice=metric.choice,
    )  # fmt: skip
    return {"status": "ok", "value": value, "reason": ""}


def score_split(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    task: Task,
    device: torch.device,
    choice: Choice,
) -> float:
    """One metric over a whole split.

    Args:
        inputs, targets: shaped as :class:`seqbench.Task` says, on any device.

    Raises:
        PluginError: it is not what the run was planned with, has no ``update`` and ``compute``, or
            came out as what is no finite number. Whatever its own code raises.
    """
    check_unchanged(choice)
    function = load_object(choice)
    check_call(choice, function, task, **choice.params)
    meter = function(task, **choice.params)
    for method in ("update", "compute"):
        if not callable(getattr(meter, method, None)):
            raise PluginError(
                f"{choice.target} returned {type(meter).__name__}, which has no method {method}"
            )
    model.eval()
    for start in range(0, len(inputs), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        with torch.inference_mode():
            answers = model(inputs[part].to(device)).cpu()
        answers, wanted = answers.clone(), targets[part].cpu().clone()  # it may write into them
        if task.target == "label_per_step":
            answers, wanted = answers.flatten(0, -2), wanted.flatten()
        meter.update(answers, wanted)
    found = meter.compute()
    value = math.nan if isinstance(found, str) else float(found)
    if not math.isfinite(value):
        raise PluginError(f"{choice.name} came out as {found!r}, which is no finite number")
    return value
