"""Which classes a trained model takes for which."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqbench.types import Task

#: A larger table than this square is not kept: nobody reads it.
MOST_CLASSES = 200


class Confusion:
    """Confusion matrix and recall of each class; a :class:`seqbench.training.evaluation.Meter`.

    With a label for each step every step counts.
    """

    def __init__(self, task: Task):
        self._task = task
        classes = task.output_size
        self._counted = task.target != "value" and classes <= MOST_CLASSES
        self._counts = torch.zeros(classes**2 if self._counted else 0, dtype=torch.int64)

    def update(self, answers: Tensor, targets: Tensor) -> None:
        """Counts the answers to one batch."""
        if self._counted:
            found = answers.argmax(-1).cpu()
            places = targets.cpu().flatten() * self._task.output_size + found.flatten()
            self._counts += torch.bincount(places, minlength=len(self._counts))

    def result(self) -> dict[str, Any]:
        """What was counted.

        Returns:
            ``confusion``: counts, ``[true class][predicted class]``; ``recall``: of each class the
            share of its sequences (or steps) that was found, None for a class that does not occur;
            ``classes``: their names, or their numbers as text. Nothing for numbers as targets;
            ``confusion_reason`` alone where there are more than 200 classes.
        """
        if self._task.target == "value":
            return {}
        classes = self._task.output_size
        if not self._counted:
            reason = f"{classes:,} classes, more than the {MOST_CLASSES} possible"
            return {"confusion_reason": reason}
        counts = self._counts.reshape(classes, classes)
        totals, hits = counts.sum(1).tolist(), counts.diagonal().tolist()
        return {
            "confusion": counts.tolist(),
            "recall": [hit / n if n else None for hit, n in zip(hits, totals, strict=True)],
            "classes": list(self._task.class_names) or [str(number) for number in range(classes)],
        }
