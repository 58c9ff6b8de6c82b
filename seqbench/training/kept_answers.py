"""Keeps a trained model's answers to the test split, in the pass that evaluates it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from seqbench.store.answers import AnswersFile
from seqbench.types import Splits


class KeptAnswers(AnswersFile):
    """The file with the answers to the test split; a :class:`seqbench.training.evaluation.Meter`
    of a pass over it.
    """

    def __init__(self, path: Path, splits: Splits):
        super().__init__(path, splits.task, splits.test[1].numpy())

    def update(self, answers: Tensor, targets: Tensor) -> None:
        """Write the answers to one batch, as float32."""
        self.write(answers.to("cpu", torch.float32).resolve_neg().numpy())
