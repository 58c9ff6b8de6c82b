"""Plugins' metrics, computed on trained models."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from seqbench.measure.payloads import MetricPayload
from seqbench.measure.subject import Subject
from seqbench.plugins.choice import Choice
from seqbench.plugins.provenance import check_unchanged
from seqbench.training.estimators import probabilities_of_zero
from seqbench.training.evaluation import BySet, evaluate
from seqbench.training.fresh import FreshSplit
from seqbench.training.plugin_metric import PluginMeter
from seqbench.training.split import Split
from seqbench.workers.context import JobContext


def score_model(payload: MetricPayload, context: JobContext) -> dict[str, Any]:
    """Compute a metric of a trained model on the test split.

    Returns:
        ``status``, ``value`` and ``reason``: ``ok`` with a finite number, or ``skipped`` if the
        metric does not apply to the task's targets; of several test sets also ``sets``, the value
        of each by its name.

    Raises:
        NotApplicable: the metric cannot take the weights of the targets, or needs training targets
            that there are not; or an estimator does not answer as in its trial.
        PluginError: the metric violates its contract.
        Exception: any error of the metric's own code.
    """
    metric, refit = payload.metric, payload.subject.refit
    if refit is not None and (reason := metric.why_not(refit.form)):
        return {"status": "skipped", "value": None, "reason": reason}
    subject = Subject(payload.subject, context.workspace)
    task = subject.splits.task
    if task.target not in metric.targets:
        supported = ", ".join(metric.targets)
        reason = f"supports {supported}, not {task.target}"
        return {"status": "skipped", "value": None, "reason": reason}
    test = subject.splits.test
    with probabilities_of_zero(subject.model):
        meter = score_split(
            subject.model, test, device=subject.device, choice=metric.choice,
            train=subject.splits.train,
        )  # fmt: skip
        score = {"status": "ok", "value": meter.value, "reason": ""}
    if test.sets:
        pairs = zip(test.sets, meter.figures, strict=True)
        score["sets"] = {one.name: figure.value for one, figure in pairs}
    return score


def score_split(
    model: nn.Module,
    split: Split,
    *,
    device: torch.device,
    choice: Choice,
    train: Split | FreshSplit | None = None,
) -> BySet[PluginMeter]:
    """Compute one metric over a whole split, or each of its test sets.

    Args:
        split: on any device.
        train: the training split, for metrics that need its targets.

    Raises:
        PluginError: the metric's package has changed since the run was planned, the metric lacks
            ``update`` or ``compute``, or its value is not a finite number.
        NotApplicable: the metric cannot take the weights of the targets.
        Exception: any error of the metric's own code.
    """
    check_unchanged(choice)
    meter = BySet(split, lambda: PluginMeter(choice, split.task, train))
    evaluate(model, split, device=device, meters=[meter])
    return meter
