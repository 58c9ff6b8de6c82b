"""The confusion matrix of a trained model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqbench.types import Task

#: No confusion matrix is recorded for more classes than this.
MAX_CLASSES = 200


class Confusion:
    """Confusion matrix and per-class recall; a :class:`seqbench.training.evaluation.Meter`.

    With one label per step, every step is counted.
    """

    def __init__(self, task: Task):
        self._task = task
        classes = task.output_size
        self._counted = task.target != "value" and classes <= MAX_CLASSES
        self._counts = torch.zeros(classes**2 if self._counted else 0, dtype=torch.int64)

    def update(self, answers: Tensor, targets: Tensor) -> None:
        """Count the answers to one batch."""
        if self._counted:
            predicted = answers.argmax(-1).cpu()
            cells = targets.cpu().flatten() * self._task.output_size + predicted.flatten()
            self._counts += torch.bincount(cells, minlength=len(self._counts))

    def result(self) -> dict[str, Any]:
        """The confusion matrix, as entries of a trial's metrics.

        Returns:
            ``confusion``: counts, ``[true class][predicted class]``; ``recall``: for each class the
            fraction of its sequences (or steps) classified correctly, None if the class does not
            occur; ``classes``: class names, or class numbers as text. Empty if the targets are
            values; only ``confusion_reason`` if there are more than 200 classes.
        """
        if self._task.target == "value":
            return {}
        classes = self._task.output_size
        if not self._counted:
            reason = f"{classes:,} classes; at most {MAX_CLASSES} are supported"
            return {"confusion_reason": reason}
        counts = self._counts.reshape(classes, classes)
        totals, hits = counts.sum(1).tolist(), counts.diagonal().tolist()
        return {
            "confusion": counts.tolist(),
            "recall": [hit / n if n else None for hit, n in zip(hits, totals, strict=True)],
            "classes": list(self._task.class_names) or [str(number) for number in range(classes)],
        }
