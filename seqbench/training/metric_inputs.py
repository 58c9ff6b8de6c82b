"""The form in which a plugin's metric receives answers and targets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqbench.errors import PluginError
from seqbench.types import Task

Inputs = tuple[Tensor, Tensor]

#: Answers (n, output_size) and targets (n,) or (n, output_size), in the form for a metric.
Convert = Callable[[Tensor, Tensor], Inputs]

LIBRARY = "torchmetrics"

#: What some of its metrics are for, which no task has.
NO_TASK = {
    "BinaryFairness": "groups of sequences",
    "BinaryGroupStatRates": "groups of sequences",
    "ContinuousRankedProbabilityScore": "an ensemble of answers",
}


def inputs_for(metric: Any, task: Task) -> Convert:
    """The conversion for a metric: none, except for metrics of torchmetrics returned as they are.

    Those differ in what they take, and some guess from the values of a batch whether they are
    logits. Each gets here what gives the figure of its definition for the model's logits. A
    subclass with its own ``update`` gets the logits.

    Raises:
        PluginError: the metric does not apply to the task.
    """
    kinds = type(metric).__mro__
    updating = next((kind for kind in kinds if "update" in vars(kind)), object)
    if updating.__module__.partition(".")[0] != LIBRARY:
        return _unchanged
    published = next(kind for kind in kinds if kind.__module__.partition(".")[0] == LIBRARY)
    name, part = published.__name__, published.__module__.split(".")[1]
    for start, what in NO_TASK.items():
        if name.startswith(start):
            raise PluginError(f"{name} is for {what}, which no task of seqbench has")
    several = task.target_type == "labels"
    if name.startswith("Multilabel"):
        if not several:
            raise PluginError(f"{name} is for several labels at once, and the task has one target")
        return _probabilities
    if several and name.startswith(("Binary", "Multiclass")):
        use = re.sub("Binary|Multiclass", "Multilabel", name)
        raise PluginError(
            f"{name} is for one label, and the task has several at once: use "
            f"{use}(num_labels=task.output_size)"
        )
    if name.startswith("Binary"):
        if task.output_size != 2:
            raise PluginError(
                f"{name} is for 2 classes, and the task has {task.output_size}: use "
                f"{name.replace('Binary', 'Multiclass', 1)}(num_classes=task.output_size)"
            )
        return _probability
    if name.startswith("Multiclass"):
        return _logits
    if name == "Perplexity":
        return _one_text
    return _numbers if part == "regression" and task.output_size == 1 else _unchanged


def _unchanged(answers: Tensor, targets: Tensor) -> Inputs:
    return answers, targets


def _probability(answers: Tensor, targets: Tensor) -> Inputs:
    """The probability of class 1: (n,). Its sigmoid is not applied again to numbers from 0 to 1.

    In double precision, so that few confident answers are tied.
    """
    return torch.sigmoid(answers[:, 1].double() - answers[:, 0].double()), targets


def _probabilities(answers: Tensor, targets: Tensor) -> Inputs:
    """The probability of each label, as :func:`_probability`."""
    return torch.sigmoid(answers.double()), targets


def _logits(answers: Tensor, targets: Tensor) -> Inputs:
    """The logits, shifted if all lie between 0 and 1: they would be taken for probabilities."""
    if bool(((answers >= 0) & (answers <= 1)).all()):
        return answers.double() + 2.0, targets
    return answers, targets


def _one_text(answers: Tensor, targets: Tensor) -> Inputs:
    """A batch of one text, whose steps are the rows: (1, n, classes) and (1, n)."""
    return answers[None], targets[None]


def _numbers(answers: Tensor, targets: Tensor) -> Inputs:
    """(n, 1) as (n,)."""
    return answers[:, 0], targets[:, 0]
