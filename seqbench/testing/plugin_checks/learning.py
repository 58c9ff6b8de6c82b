"""The check that a model learns."""

from __future__ import annotations

from statistics import fmean

import torch
from torch import Tensor

from seqbench.testing.plugin_checks.answers import model_loss
from seqbench.testing.plugin_checks.candidate import CLASSES, FEATURES, LENGTH, Candidate
from seqbench.testing.plugin_checks.results import Violation
from seqbench.testing.plugin_checks.sizes import accepts
from seqbench.types import Task

LEARNING_STEPS, LEARNING_RATE, LEARNING_BATCH = 150, 0.02, 32

#: Steps of a sequence, unless the model only accepts the length of its task.
LEARNING_LENGTH = 3

#: The mean loss of the last steps must fall below this fraction of the initial loss.
LEARNED, LAST_STEPS = 0.7, 10


def learns(candidate: Candidate) -> str:
    """Train on a tiny task: the answer is contained in every step of the input.

    Raises:
        Violation: the loss did not fall.
    """
    kind, task = next(candidate.tasks())
    size = {"batch": LEARNING_BATCH, "length": LEARNING_LENGTH}
    length = LEARNING_LENGTH if accepts(candidate, kind, task, **size) else LENGTH
    x, y = _lesson(candidate, task, length)
    model = candidate.model(task).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    losses = []
    for _ in range(LEARNING_STEPS):
        optimizer.zero_grad()
        loss = model_loss(model, x, y, task)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    last = fmean(losses[-LAST_STEPS:])
    if not last < LEARNED * losses[0]:
        raise Violation(
            f"a loss below {LEARNED:g} of the initial loss after {LEARNING_STEPS} steps",
            f"it went from {losses[0]:.3g} to {last:.3g}",
            f"{LEARNING_BATCH} sequences of length {length}, Adam, learning rate {LEARNING_RATE:g}",
        )
    return f"loss {losses[0]:.3g} → {last:.3g} in {LEARNING_STEPS} steps"


def _lesson(candidate: Candidate, task: Task, length: int) -> tuple[Tensor, Tensor]:
    """Sequences of equal steps, each of which contains the answer."""
    draw = torch.Generator().manual_seed(0)
    label = torch.arange(LEARNING_BATCH) % CLASSES
    if task.input == "tokens":
        x = label.unsqueeze(1).expand(-1, length).contiguous()
    else:
        centers = torch.randn(CLASSES, FEATURES, generator=draw)
        x = centers[label].unsqueeze(1).expand(-1, length, -1).contiguous()
    y = label
    if task.target_type != "label":
        y = torch.nn.functional.one_hot(label, CLASSES).float()
    if task.per_step:
        y = y.unsqueeze(1).expand(-1, length, *y.shape[1:]).contiguous()
    return x.to(candidate.device), y.to(candidate.device)
