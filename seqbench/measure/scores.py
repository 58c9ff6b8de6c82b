"""What metrics of plugins say of a trained model."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError, reason_of
from seqbench.measure.subject import Subject
from seqbench.provenance import check_unchanged
from seqbench.records import Choice
from seqbench.targets import check_call, load_target
from seqbench.training import EVALUATION_BATCH
from seqbench.types import Task

Score = dict[str, Any]
#: What a plugin's code may raise; it may even call sys.exit().
RAISED = (Exception, SystemExit)


def measure(job: Mapping[str, Any]) -> dict[str, Score]:
    """What each metric says of a trained model on the test split.

    Args:
        job: as for :class:`Subject`, with ``metrics``: :class:`seqbench.records.Metric` as plain
            data, each with its ``id``.

    Returns:
        see :func:`scores`.
    """
    subject = Subject(job)
    return scores(
        subject.model, *subject.splits.test,
        task=subject.splits.task, device=subject.device, metrics=job["metrics"],
    )  # fmt: skip


def scores(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    task: Task,
    device: torch.device,
    metrics: Sequence[Mapping[str, Any]],
) -> dict[str, Score]:
    """Every metric over a whole split, which is gone through once.

    Args:
        inputs, targets: shaped as :class:`seqbench.Task` says, on any device.
        metrics: :class:`seqbench.records.Metric` as plain data, each with its ``id``.

    Returns:
        for each id ``status``, ``value`` and ``reason``: ``ok`` with a finite number; ``skipped``
        where the metric is not for such targets; ``failed`` where it raised something or returned
        what is no number. What goes wrong with one costs the others nothing.
    """
    found: dict[str, Score] = {}
    meters: dict[str, Any] = {}
    for metric in metrics:
        if task.target not in metric["targets"]:
            suits = ", ".join(metric["targets"])
            found[metric["id"]] = _none("skipped", f"it is for {suits}, not for {task.target}")
            continue
        try:
            meters[metric["id"]] = _built(Choice(**metric["choice"]), task)
        except RAISED as error:
            found[metric["id"]] = _failed(error)
    _update(meters, found, model, inputs, targets, task, device)
    for name, meter in meters.items():
        if name not in found:
            found[name] = _computed(meter)
    return found


def _built(choice: Choice, task: Task) -> Any:
    check_unchanged(choice)
    function = load_target(choice)
    check_call(choice, function, task, **choice.params)
    meter = function(task, **choice.params)
    for method in ("update", "compute"):
        if not callable(getattr(meter, method, None)):
            raise PluginError(
                f"{choice.target} returned {type(meter).__name__}, which has no method {method}"
            )
    return meter


def _update(
    meters: Mapping[str, Any],
    found: dict[str, Score],
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    task: Task,
    device: torch.device,
) -> None:
    """Shows each meter every answer; one that raises something is out, and stands in ``found``."""
    model.eval()
    for start in range(0, len(inputs) if meters else 0, EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        with torch.inference_mode():
            answers = model(inputs[part].to(device)).cpu()
        rows = answers.flatten(0, -2) if task.target == "label_per_step" else answers
        wanted = targets[part].cpu()
        wanted = wanted.flatten() if task.target == "label_per_step" else wanted
        for name, meter in meters.items():
            if name in found:
                continue
            try:  # a copy for each: one that writes into it does not change the others
                meter.update(rows.clone(), wanted.clone())
            except RAISED as error:
                found[name] = _failed(error)


def _computed(meter: Any) -> Score:
    try:
        value = float(meter.compute())
    except RAISED as error:
        return _failed(error)
    if not math.isfinite(value):
        return _none("failed", f"it came out as {value}")
    return {"status": "ok", "value": value, "reason": ""}


def _failed(error: BaseException) -> Score:
    traceback.print_exception(error)
    return _none("failed", reason_of(error))


def _none(status: str, reason: str) -> Score:
    return {"status": status, "value": None, "reason": reason}
