"""The confusion matrix of a trained model."""

from __future__ import annotations

from typing import Any

import torch

from seqbench.training.evaluation import Answered
from seqbench.types import Task

#: No confusion matrix is recorded for more classes than this.
MAX_CLASSES = 200


class Confusion:
    """Confusion matrix and per-class recall; a :class:`seqbench.training.evaluation.Meter`.

    With one label per step, every step is counted. Of several test sets those are counted that the
    figure in tables is from.
    """

    def __init__(self, task: Task):
        self._task, self._reason = task, ""
        classes = task.output_size
        if task.target_type == "labels":
            self._reason = "several labels at once"
        elif classes > MAX_CLASSES:
            self._reason = f"{classes:,} classes; at most {MAX_CLASSES} are supported"
        counts = task.target_type == "label" and not self._reason
        self._counts = torch.zeros(classes**2 if counts else 0, dtype=torch.int64)

    def update(self, answered: Answered) -> None:
        """Count the answers."""
        if not len(self._counts) or not answered.headline:
            return
        weights = answered.weights
        if weights is not None and bool(((weights != 0) & (weights != 1)).any()):
            self._reason = "targets have other weights than 0 and 1"
        counted = answered.counted()
        cells = counted.targets.cpu() * self._task.output_size + counted.answers.argmax(-1).cpu()
        self._counts += torch.bincount(cells, minlength=len(self._counts))

    def result(self) -> dict[str, Any]:
        """The confusion matrix, as entries of a trial's metrics.

        Returns:
            ``confusion``: counts, ``[true class][predicted class]``; ``recall``: for each class the
            fraction of its sequences (or steps) classified correctly, None if the class does not
            occur; ``classes``: class names, or class numbers as text. Empty if the targets are
            values; only ``confusion_reason`` if there are more than 200 classes, several labels at
            once, or fractional weights.
        """
        if self._task.target_type == "value":
            return {}
        if self._reason:
            return {"confusion_reason": self._reason}
        classes = self._task.output_size
        counts = self._counts.reshape(classes, classes)
        totals, hits = counts.sum(1).tolist(), counts.diagonal().tolist()
        return {
            "confusion": counts.tolist(),
            "recall": [hit / n if n else None for hit, n in zip(hits, totals, strict=True)],
            "classes": list(self._task.class_names) or [str(number) for number in range(classes)],
        }
