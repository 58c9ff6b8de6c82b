"""Keeps a trained model's answers to the test split, in the pass that evaluates it."""

from __future__ import annotations

from pathlib import Path

import torch

from seqbench.store.answers import AnswersFile, Asked
from seqbench.training.evaluation import Answered
from seqbench.training.split import Split


class KeptAnswers(AnswersFile):
    """The file with the answers to the test split; a :class:`seqbench.training.evaluation.Meter`
    of a pass over it.
    """

    def __init__(self, path: Path, split: Split):
        per_step, ragged = split.task.per_step, split.offsets is not None
        shape = tuple(split.targets.shape[: 2 if per_step and not ragged else 1])
        asked = Asked(
            split.task,
            shape,
            targets=split.targets.numpy(),
            lengths=split.lengths.numpy() if ragged else None,
            weights=None if split.weights is None else split.weights.numpy(),
            sets=tuple((one.name, one.count) for one in split.sets),
        )
        super().__init__(path, asked)

    def update(self, answered: Answered) -> None:
        """Write the answers to some sequences, as float32."""
        self.write(answered.answers.to("cpu", torch.float32).resolve_neg().numpy())
