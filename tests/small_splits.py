"""Splits in memory: as a prepared dataset has them, and as a dataset's function returns them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqbench.training.evaluation import Answered
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Split
from seqbench.types import Fresh, SplitData, Task

Pair = tuple[Tensor, Tensor]


def prepared(task: Task, train: Pair, test: Pair, validation: Pair | None = None) -> PreparedSplits:
    """Splits of one length, from inputs and targets."""
    held = None if validation is None else Split(task, *validation)
    return PreparedSplits(task, Split(task, *train), Split(task, *test), held)


def answered(task: Task, answers: Tensor, targets: Tensor) -> Answered:
    """Answers to sequences of one length, and their targets, as meters get them."""
    rows = targets.flatten(0, 1) if task.per_step else targets
    lengths = torch.full((len(targets),), task.length)
    return Answered(answers.flatten(0, -2), rows, None, lengths)


def pair_of(split: SplitData | Fresh | None) -> tuple[Any, Any]:
    """Inputs and targets of a split that a dataset's function returned."""
    assert isinstance(split, tuple)
    assert len(split) == 2
    return split
