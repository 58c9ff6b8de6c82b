"""The figure of a trained model for parts of the test split: its test sets, or ranges of length."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor

from seqbench.training.evaluation import Answered, DecidingFigure
from seqbench.training.split import Split

#: Each length is a part of its own if there are at most this many; otherwise this many ranges with
#: about equally many sequences.
MOST_PARTS = 10

#: Why a part has no figure.
NOTHING_COUNTS, NOT_FINITE = "no target counts", "an answer of the model is NaN or infinite"


class Parts:
    """The task's own metric for each part; a :class:`seqbench.training.evaluation.Meter`.

    The parts depend on the data only, so those of two models can be compared. There are none
    without test sets and with one length.
    """

    def __init__(self, split: Split):
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
        self._figures = [DecidingFigure(split.task) for _ in groups]

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
            self._figures[number].update(_chosen(answered, chosen))

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


def _value(figure: DecidingFigure) -> dict[str, Any]:
    """The figure of a part, or why it has none."""
    if math.isfinite(figure.value):
        return {"value": figure.value}
    return {"value": None, "reason": NOT_FINITE if figure.counts else NOTHING_COUNTS}


def _chosen(answered: Answered, rows: Tensor) -> Answered:
    weights = None if answered.weights is None else answered.weights[rows]
    return dataclasses.replace(
        answered, answers=answered.answers[rows], targets=answered.targets[rows], weights=weights
    )
