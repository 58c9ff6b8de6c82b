"""Plugins' metrics, computed on trained models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import NotApplicable, PluginError
from seqbench.measure.metric_inputs import inputs_for
from seqbench.measure.payloads import MetricPayload
from seqbench.measure.subject import Subject
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object, parameters_of
from seqbench.plugins.provenance import check_unchanged
from seqbench.training.evaluation import Answered, BySet, evaluate
from seqbench.training.split import Split
from seqbench.types import Task
from seqbench.workers.context import JobContext


def score_model(payload: MetricPayload, context: JobContext) -> dict[str, Any]:
    """Compute a metric of a trained model on the test split.

    Returns:
        ``status``, ``value`` and ``reason``: ``ok`` with a finite number, or ``skipped`` if the
        metric does not apply to the task's targets; of several test sets also ``sets``, the value
        of each by its name.

    Raises:
        NotApplicable: the metric cannot take the weights of the targets.
        PluginError: the metric violates its contract.
        Exception: any error of the metric's own code.
    """
    metric, subject = payload.metric, Subject(payload.subject, context.workspace)
    task = subject.splits.task
    if task.target not in metric.targets:
        supported = ", ".join(metric.targets)
        reason = f"supports {supported}, not {task.target}"
        return {"status": "skipped", "value": None, "reason": reason}
    test = subject.splits.test
    meter = score_split(subject.model, test, device=subject.device, choice=metric.choice)
    score = {"status": "ok", "value": meter.value, "reason": ""}
    if test.sets:
        pairs = zip(test.sets, meter.figures, strict=True)
        score["sets"] = {one.name: figure.value for one, figure in pairs}
    return score


def score_split(
    model: nn.Module, split: Split, *, device: torch.device, choice: Choice
) -> BySet[PluginMeter]:
    """Compute one metric over a whole split, or each of its test sets.

    Args:
        split: on any device.

    Raises:
        PluginError: the metric's package has changed since the run was planned, the metric lacks
            ``update`` or ``compute``, or its value is not a finite number.
        NotApplicable: the metric cannot take the weights of the targets.
        Exception: any error of the metric's own code.
    """
    check_unchanged(choice)
    meter = BySet(split, lambda: PluginMeter(choice, split.task))
    evaluate(model, split, device=device, meters=[meter])
    return meter


class PluginMeter:
    """A plugin's metric as a :class:`seqbench.training.evaluation.Meter`.

    Raises:
        PluginError: the metric violates its contract.
        Exception: any error of the metric's own code.
    """

    def __init__(self, choice: Choice, task: Task):
        function = load_object(choice)
        check_call(choice, function, task, **choice.params)
        self._choice, self._several = choice, task.target_type == "labels"
        self._meter = function(task, **choice.params)
        for method in ("update", "compute"):
            if not callable(getattr(self._meter, method, None)):
                what = type(self._meter).__name__
                raise PluginError(
                    f"{choice.import_path} returned {what}, which has no method {method}"
                )
        self._convert = inputs_for(self._meter, task)
        self._value: float | None = None
        self._takes_weights = "weights" in parameters_of(self._meter.update)

    def update(self, answered: Answered) -> None:
        """Pass the metric its own copies on the CPU, which it may modify.

        Raises:
            NotApplicable: rows count unequally, but ``update`` takes no ``weights``.
        """
        self._value = None
        counted = answered.counted()
        if not len(counted.answers):
            return
        answers, targets = counted.answers.cpu().clone(), counted.targets.cpu().clone()
        if self._several:
            targets = targets.long()
        weights = torch.ones(len(answers)) if counted.weights is None else counted.weights.cpu()
        if self._takes_weights:
            self._meter.update(*self._convert(answers, targets), weights=weights.clone())
        elif bool((weights == 1).all()):
            self._meter.update(*self._convert(answers, targets))
        else:
            raise NotApplicable(
                f"{self._choice.name} takes no weights, and those of the test targets are not only "
                "0 and 1"
            )

    @property
    def value(self) -> float:
        """The metric over all batches, which ``compute`` is called for once."""
        if self._value is None:
            self._value = _as_number(self._meter.compute(), self._choice.name)
        return self._value


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
