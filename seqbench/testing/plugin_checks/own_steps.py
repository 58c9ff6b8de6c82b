"""The check of a model's own ``training_step``."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError, reason_of
from seqbench.testing.plugin_checks.answers import model_loss
from seqbench.testing.plugin_checks.candidate import LENGTH, Candidate, example
from seqbench.testing.plugin_checks.results import Skipped, Violation
from seqbench.training.own_step import own_step_of
from seqbench.training.split import Batch
from seqbench.types import Task

#: What a ``training_step`` has to return.
EXPECTED = "a finite scalar tensor with a gradient from training_step"


def gives_a_loss(candidate: Candidate) -> str:
    """Check that a model's own ``training_step``, if it has one, takes batches with and without
    padding, and returns a loss.

    Raises:
        Violation: it does not. Skipped: it has none.
    """
    for kind, task in candidate.tasks():
        model = candidate.model(task).train()
        try:
            if (step := own_step_of(model)) is None:
                raise Skipped("no method `training_step`")
        except PluginError as error:
            raise Violation(EXPECTED, str(error), kind) from error
        for batch, words in _batches(candidate, task):
            at = f"{kind}, {example(batch.inputs)}{words}"
            torch.manual_seed(0)
            try:
                loss = step(batch)
                loss.backward()  # type: ignore[no-untyped-call]
            except Exception as error:
                got = str(error) if isinstance(error, PluginError) else reason_of(error)
                raise Violation(EXPECTED, got, at) from error
            if not loss.isfinite():
                raise Violation(EXPECTED, f"{loss.item():g}", at)
    return ", ".join(candidate.kinds)


def _batches(candidate: Candidate, task: Task) -> Iterator[tuple[Batch, str]]:
    """A batch as it is in training, and one with padding; each with words that tell them apart."""
    x, y = candidate.inputs(task, 4), candidate.targets(task, 4)
    yield Batch(x, y), ""
    if candidate.choice.lengths == "fixed":
        return
    lengths = torch.tensor([LENGTH, 2, LENGTH, 1])
    real = torch.arange(LENGTH) < lengths[:, None]
    weights = real.float().to(candidate.device) if task.per_step else None
    padded = x * real.to(x.device).view(*real.shape, *[1] * (x.dim() - 2))
    yield Batch(padded, y, lengths, weights), f" with lengths {lengths.tolist()}"


def training_loss(model: nn.Module, x: Tensor, y: Tensor, task: Task) -> Tensor:
    """The loss that a model is trained with: that of its own ``training_step``, if it has one."""
    step = own_step_of(model)
    return model_loss(model, x, y, task) if step is None else step(Batch(x, y))
