"""Which classes a trained model takes for which."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqbench.training.evaluation import EVALUATION_BATCH
from seqbench.types import Task

#: A larger table than this square is not kept: nobody reads it.
MOST_CLASSES = 200


def by_class(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, task: Task, device: torch.device
) -> dict[str, Any]:
    """Confusion matrix and recall of each class over a whole split.

    Args:
        inputs, targets: shaped as :class:`seqbench.Task` says, on any device. With a label per
            step every step counts.

    Returns:
        ``confusion``: counts, ``[true class][predicted class]``; ``recall``: of each class the
        share of its sequences (or steps) that was found, None for a class that does not occur;
        ``classes``: their names, or their numbers as text. Nothing for numbers as targets;
        ``confusion_reason`` alone where there are more than 200 classes.
    """
    if task.target == "value":
        return {}
    classes = task.output_size
    if classes > MOST_CLASSES:
        return {"confusion_reason": f"{classes:,} classes, more than the {MOST_CLASSES} possible"}
    counts = torch.zeros(classes * classes, dtype=torch.int64)
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(inputs), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            found = model(inputs[part].to(device)).argmax(-1).cpu()
            places = targets[part].cpu().flatten() * classes + found.flatten()
            counts += torch.bincount(places, minlength=len(counts))
    counts = counts.reshape(classes, classes)
    totals = counts.sum(1).tolist()
    hits = counts.diagonal().tolist()
    return {
        "confusion": counts.tolist(),
        "recall": [hit / n if n else None for hit, n in zip(hits, totals, strict=True)],
        "classes": list(task.class_names) or [str(number) for number in range(classes)],
    }
