"""The figure of a trained model for parts of the test split: its test sets, or ranges of length."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqbench.errors import reason_of
from seqbench.training.evaluation import Answered, Figure, TaskMetric
from seqbench.training.split import Split

#: Each length is a part of its own if there are at most this many; otherwise this many ranges with
#: about equally many sequences.
MOST_PARTS = 10

#: Why a part has no figure.
NOTHING_COUNTS, NOT_FINITE = "no target counts", "an answer of the model is NaN or infinite"


class Parts:
    """The primary metric for each part; a :class:`seqbench.training.evaluation.Meter`.

    The parts depend on the data only, so those of two models can be compared. There are none
    without test sets and with one length.

    Args:
        make: makes a figure of the metric; by default the task's own.
    """

    def __init__(self, split: Split, make: Callable[[], Figure] | None = None):
        self._per_step = split.task.per_step
        self._starts = torch.empty(0)
        names, lengths = [one.name for one in split.sets], split.lengths
        if names:
            groups = list(torch.split(lengths, [one.count for one in split.sets]))
        elif split.offsets is None:
            groups = []
        else:
            self._starts = starts_of(lengths)
            places = self._part_of(lengths)
            groups = [lengths[places == number] for number in range(len(self._starts))]
            names = [""] * len(groups)
        self._about = list(zip(names, groups, strict=True))
        self._headline = [one.name for one in split.sets if split.headline in ("", one.name)]
        create = make or (lambda: TaskMetric(split.task))
        self._figures = [create() for _ in groups]

    def update(self, answered: Answered) -> None:
        """See :class:`seqbench.training.evaluation.Meter`."""
        if not self._figures:
            return
        if not len(self._starts):
            self._figures[answered.test_set].update(answered)
            return
        parts = self._part_of(answered.lengths)
        if self._per_step:
            parts = parts.repeat_interleave(answered.lengths)
        for number in torch.unique(parts).tolist():
            chosen = (parts == number).to(answered.answers.device)
            lengths = answered.lengths[self._part_of(answered.lengths) == number]
            self._figures[number].update(_chosen(answered, chosen, lengths))

    def result(self) -> dict[str, Any]:
        """The parts as entries of a trial's metrics, if there are any.

        Returns:
            ``parts``: for each its ``name`` (of the test set, or ``""``), ``shortest`` and
            ``longest`` length, number of ``sequences``, and ``value``, or None and the ``reason``;
            of several test sets also ``headline``: the names of those that the figure in tables is
            the mean of.
        """
        if not self._about:
            return {}
        parts = [
            {
                "name": name,
                "shortest": int(lengths.min()),
                "longest": int(lengths.max()),
                "sequences": len(lengths),
                **_value(figure),
            }
            for (name, lengths), figure in zip(self._about, self._figures, strict=True)
        ]
        return {"parts": parts, **({"headline": self._headline} if self._headline else {})}

    def _part_of(self, lengths: Tensor) -> Tensor:
        places: Tensor = torch.searchsorted(self._starts, lengths, right=True)
        return places - 1


def starts_of(lengths: Tensor) -> Tensor:
    """The shortest length of each range, in order; see :data:`MOST_PARTS`."""
    starts: Tensor = torch.unique(lengths)
    if len(starts) > MOST_PARTS:
        ordered = torch.sort(lengths).values
        places = torch.arange(MOST_PARTS) * len(ordered) // MOST_PARTS
        starts = torch.unique(ordered[places])
    return starts


def _value(figure: Figure) -> dict[str, Any]:
    """The figure of a part, or why it has none: some metrics are not defined for some targets."""
    if not figure.counts:
        return {"value": None, "reason": NOTHING_COUNTS}
    try:
        value = figure.value
    except Exception as error:
        return {"value": None, "reason": reason_of(error)}
    return {"value": value} if math.isfinite(value) else {"value": None, "reason": NOT_FINITE}


def _chosen(answered: Answered, rows: Tensor, lengths: Tensor) -> Answered:
    weights = None if answered.weights is None else answered.weights[rows]
    return dataclasses.replace(
        answered, answers=answered.answers[rows], targets=answered.targets[rows],
        weights=weights, lengths=lengths,
    )  # fmt: skip
