"""Metrics of plugins, as meters of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from seqbench.errors import NotApplicable, PluginError
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object, parameters_of
from seqbench.training.evaluation import Answered
from seqbench.training.fresh import FreshSplit
from seqbench.training.metric_inputs import inputs_for
from seqbench.training.split import Split
from seqbench.types import IGNORED, Task


class PluginMeter:
    """A plugin's metric as a :class:`seqbench.training.evaluation.Figure`.

    Args:
        train: the training split, whose targets some metrics need.

    Raises:
        NotApplicable: it needs the targets of the training split, and there is none.
        PluginError: the metric violates its contract.
        Exception: any error of the metric's own code.
    """

    def __init__(self, choice: Choice, task: Task, train: Split | FreshSplit | None = None):
        function = load_object(choice)
        given = dict(choice.params)
        if "train_targets" in parameters_of(function):
            given["train_targets"] = _train_targets(train, choice)
        check_call(choice, function, task, **given)
        self._choice, self._task = choice, task
        self._meter = function(task, **given)
        for method in ("update", "compute"):
            if not callable(getattr(self._meter, method, None)):
                what = type(self._meter).__name__
                raise PluginError(
                    f"{choice.import_path} returned {what}, which has no method {method}"
                )
        self._convert = inputs_for(self._meter, task)
        self._value: float | None = None
        self._takes = set(parameters_of(self._meter.update))
        self.counts = False  # whether any target counted so far

    def update(self, answered: Answered) -> None:
        """Pass the metric its own copies on the CPU, which it may modify.

        Raises:
            NotApplicable: rows count unequally, but ``update`` takes no ``weights``.
        """
        self._value = None
        counted = answered.counted()
        if not len(counted.answers):
            return
        self.counts = True
        answers, targets = counted.answers.cpu().clone(), counted.targets.cpu().clone()
        if self._task.target_type == "labels":
            targets = targets.long()
        weights = torch.ones(len(answers)) if counted.weights is None else counted.weights.cpu()
        given: dict[str, Tensor] = {}
        if "weights" in self._takes:
            given["weights"] = weights.clone()
        elif not bool((weights == 1).all()):
            raise NotApplicable(
                f"{self._choice.name} takes no weights, and those of the targets are not only "
                "0 and 1"
            )
        if "sequences" in self._takes:
            given["sequences"] = self._sequences(answered)
        self._meter.update(*self._convert(answers, targets), **given)

    def _sequences(self, answered: Answered) -> Tensor:
        """Of each row that counts the number of its sequence, from 0: (rows,) int64."""
        numbers = torch.arange(len(answered.lengths))
        if self._task.per_step:
            numbers = numbers.repeat_interleave(answered.lengths)
        weights = answered.weights
        return numbers if weights is None else numbers[weights.cpu() > 0]

    @property
    def value(self) -> float:
        """The metric over all batches, which ``compute`` is called for once."""
        if self._value is None:
            self._value = _as_number(self._meter.compute(), self._choice.name)
        return self._value


def _train_targets(train: Split | FreshSplit | None, choice: Choice) -> Tensor | list[Tensor]:
    """The targets of the training split, in its order; ``NaN``, or -100 for a class, where they do
    not count. With targets at each step of sequences of unequal length, a tensor of each sequence.

    Raises:
        NotApplicable: it has no stored targets.
    """
    if not isinstance(train, Split):
        what = "needs the targets of a stored training split"
        raise NotApplicable(f"{choice.name} {what}, and the training sequences are generated")
    targets = train.targets.clone()
    if targets.dtype == torch.uint8:  # several labels at once
        targets = targets.long()
    if train.weights is not None:
        ignored = train.weights == 0
        targets[ignored] = torch.nan if targets.is_floating_point() else IGNORED
    if train.offsets is None or not train.task.per_step:
        return targets
    return list(torch.split(targets, train.lengths.tolist()))


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
