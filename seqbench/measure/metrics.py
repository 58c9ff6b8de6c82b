"""Plugins' metrics, computed on trained models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.measure.metric_inputs import inputs_for
from seqbench.measure.payloads import MetricPayload
from seqbench.measure.subject import Subject
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object
from seqbench.plugins.provenance import check_unchanged
from seqbench.training.evaluation import evaluate
from seqbench.types import Task
from seqbench.workers.context import JobContext


def score_model(payload: MetricPayload, context: JobContext) -> dict[str, Any]:
    """Compute a metric of a trained model on the test split.

    Returns:
        ``status``, ``value`` and ``reason``: ``ok`` with a finite number, or ``skipped`` if the
        metric does not apply to the task's targets.

    Raises:
        PluginError: the metric violates its contract.
        Exception: any error of the metric's own code.
    """
    metric, subject = payload.metric, Subject(payload.subject, context.workspace)
    task = subject.splits.task
    if task.target not in metric.targets:
        supported = ", ".join(metric.targets)
        reason = f"supports {supported}, not {task.target}"
        return {"status": "skipped", "value": None, "reason": reason}
    value = score_split(
        subject.model, subject.splits.test,
        task=task, device=subject.device, choice=metric.choice,
    )  # fmt: skip
    return {"status": "ok", "value": value, "reason": ""}


def score_split(
    model: nn.Module,
    split: tuple[Tensor, Tensor],
    *,
    task: Task,
    device: torch.device,
    choice: Choice,
) -> float:
    """Compute one metric over a whole split.

    Args:
        split: inputs and targets, shaped as :class:`seqbench.Task` says, on any device.

    Raises:
        PluginError: the metric's package has changed since the run was planned, the metric lacks
            ``update`` or ``compute``, or its value is not a finite number.
        Exception: any error of the metric's own code.
    """
    check_unchanged(choice)
    meter = PluginMeter(choice, task)
    evaluate(model, split, task=task, device=device, meters=[meter])
    return meter.result()


class PluginMeter:
    """A plugin's metric as a :class:`seqbench.training.evaluation.Meter`.

    Raises:
        PluginError: the metric violates its contract.
        Exception: any error of the metric's own code.
    """

    def __init__(self, choice: Choice, task: Task):
        function = load_object(choice)
        check_call(choice, function, task, **choice.params)
        self._choice, self._per_step = choice, task.target == "label_per_step"
        self._meter = function(task, **choice.params)
        for method in ("update", "compute"):
            if not callable(getattr(self._meter, method, None)):
                what = type(self._meter).__name__
                raise PluginError(
                    f"{choice.import_path} returned {what}, which has no method {method}"
                )
        self._convert = inputs_for(self._meter, task)

    def update(self, answers: Tensor, targets: Tensor) -> None:
        """Pass the metric its own copies on the CPU, which it may modify."""
        answers, targets = answers.cpu().clone(), targets.cpu().clone()
        if self._per_step:
            answers, targets = answers.flatten(0, -2), targets.flatten()
        self._meter.update(*self._convert(answers, targets))

    def result(self) -> float:
        """The metric over all batches."""
        return _as_number(self._meter.compute(), self._choice.name)


def _as_number(computed: Any, name: str) -> float:
    """What ``compute`` returned, as a number. Raises PluginError."""
    numbers = computed.numel() if isinstance(computed, Tensor) else 1
    if numbers != 1 or isinstance(computed, (list, tuple, Mapping)):
        shape = f" of shape {tuple(computed.shape)}" if isinstance(computed, Tensor) else ""
        raise PluginError(
            f"{name} is a {type(computed).__name__}{shape}, which is not a finite number: "
            "compute() must return one number, such as the mean over classes or outputs"
        )
    try:
        value = math.nan if isinstance(computed, str) else float(computed)
    except (TypeError, ValueError, RuntimeError):
        value = math.nan
    if not math.isfinite(value):
        shown = value if isinstance(computed, Tensor) else " ".join(repr(computed).split())[:100]
        raise PluginError(f"{name} is {shown}, which is not a finite number")
    return value
