"""A split in memory, and batches of it: inputs, targets, and what of them counts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from seqbench.types import Task

#: Inputs, targets, weights and offsets of a split, by their names in a prepared file.
PARTS = ("x", "y", "weights", "offsets")


@dataclass(frozen=True)
class Batch:
    """Some sequences as a model receives them, padded at the end if their lengths differ.

    Args:
        inputs: (batch, time, features) float32, or (batch, time) int64 tokens.
        targets: shaped as :class:`seqbench.Task` says.
        lengths: true number of steps of each sequence, (batch,) int64, on the CPU; None if nothing
            is padded.
        weights: of each target, (batch,), or (batch, time) with targets at each step; 0 for
            padding. None if all have weight 1.
        continues: whether each sequence continues that of the batch before, at the same place.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    weights: Tensor | None = None
    continues: bool = False

    def __len__(self) -> int:
        return len(self.inputs)

    def total(self, task: Task) -> Tensor | int:
        """The sum of the weights of all targets."""
        if self.weights is not None:
            return self.weights.sum()
        return len(self.targets) * (self.targets.shape[1] if task.per_step else 1)

    def to(self, device: torch.device) -> Batch:
        """The same on a device; ``lengths`` stay on the CPU."""
        weights = None if self.weights is None else self.weights.to(device)
        return Batch(
            self.inputs.to(device), self.targets.to(device), self.lengths, weights, self.continues
        )

    def first(self, count: int) -> Batch:
        """The first ``count`` sequences, padded as before."""
        lengths, weights = (
            None if part is None else part[:count] for part in (self.lengths, self.weights)
        )
        return Batch(self.inputs[:count], self.targets[:count], lengths, weights)


@dataclass(frozen=True)
class TestSet:
    """A named part of a test split: ``count`` consecutive sequences."""

    __test__ = False  # no test of pytest's

    name: str
    count: int


@dataclass(frozen=True)
class Split:
    """All sequences of a split.

    Args:
        task: of the dataset.
        inputs: of one length: (n, time, …); of unequal length: all steps one after another,
            (steps, …).
        targets: (n, …); with targets at each step laid out as ``inputs``.
        weights: as ``targets``, without the dimension of outputs; None if all are 1.
        offsets: of unequal length: where each sequence begins, and the end, (n + 1,) int64, on the
            CPU; None for one length.
        one_length: whether batches for evaluation are of one length each, without padding.
        carried: whether, in evaluation, a model carries its state over from each sequence to the
            next.
        sets: the parts of a test split that has several; else empty.
        headline: which of ``sets`` gives the figure in tables; ``""`` for the mean over all.
    """

    task: Task
    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None
    offsets: Tensor | None = None
    one_length: bool = False
    carried: bool = False
    sets: tuple[TestSet, ...] = ()
    headline: str = ""

    def __len__(self) -> int:
        return len(self.inputs) if self.offsets is None else len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Tensor:
        """Number of steps of each sequence, (n,) int64."""
        if self.offsets is None:
            return torch.full((len(self.inputs),), self.inputs.shape[1])
        return self.offsets.diff()

    def tensors(self) -> dict[str, Tensor]:
        """Inputs, targets and, where they say something, weights and offsets, by their names in a
        prepared file.
        """
        parts = (self.inputs, self.targets, self.weights, self.offsets)
        named = zip(PARTS, parts, strict=True)
        return {name: tensor for name, tensor in named if tensor is not None}

    def to(self, device: torch.device) -> Split:
        """The same with its values on a device; ``offsets`` stay on the CPU."""
        weights = None if self.weights is None else self.weights.to(device)
        return dataclasses.replace(
            self, inputs=self.inputs.to(device), targets=self.targets.to(device), weights=weights
        )

    def flat(self) -> Split:
        """The same in the form of sequences of unequal length."""
        if self.offsets is not None:
            return self
        count, time = self.inputs.shape[:2]
        steps = self.task.per_step
        weights = self.weights
        if weights is not None and steps:
            weights = weights.flatten()
        return dataclasses.replace(
            self,
            inputs=self.inputs.flatten(0, 1),
            targets=self.targets.flatten(0, 1) if steps else self.targets,
            weights=weights,
            offsets=torch.arange(count + 1) * time,
        )

    def batch(self, rows: Tensor) -> Batch:
        """The sequences ``rows``, padded at the end with zeros up to the longest of them.

        Args:
            rows: (batch,) int64; of one length on the split's device, else on the CPU.
        """
        if self.offsets is None:  # index_select is faster than inputs[rows]
            weights = None if self.weights is None else self.weights.index_select(0, rows)
            x, y = self.inputs.index_select(0, rows), self.targets.index_select(0, rows)
            return Batch(x, y, weights=weights)
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        if int(lengths.min()) == longest:
            return self.exactly(rows, longest)
        steps = torch.arange(longest)
        real = steps < lengths[:, None]  # (batch, time)
        places = self.offsets[rows][:, None] + torch.where(real, steps, 0)
        batch = self._at(rows, places)
        padding = ~real.to(self.inputs.device)
        batch.inputs.masked_fill_(padding if batch.inputs.dim() == 2 else padding[..., None], 0)
        weights = batch.weights
        if self.task.per_step:
            counts = real.to(self.inputs.device, torch.float32)
            weights = counts if weights is None else weights * counts
        return Batch(batch.inputs, batch.targets, lengths, weights)

    def exactly(self, rows: Tensor, length: int) -> Batch:
        """The sequences ``rows`` with ``length`` steps each, so without padding: longer ones are
        cut, and shorter ones repeated from their start.

        Args:
            rows: (batch,) int64, on the CPU.
        """
        steps, lengths = torch.arange(length), self.lengths[rows][:, None]
        starts = rows * self.inputs.shape[1] if self.offsets is None else self.offsets[rows]
        return self._at(rows, starts[:, None] + steps % lengths)

    def _at(self, rows: Tensor, places: Tensor) -> Batch:
        """The sequences ``rows`` with the steps at ``places``, (batch, time), of all steps."""
        device = self.inputs.device
        flat = places.flatten().to(device)

        def steps(values: Tensor) -> Tensor:
            every = values if self.offsets is not None else values.flatten(0, 1)
            return every.index_select(0, flat).view(*places.shape, *every.shape[1:])

        def targets(values: Tensor) -> Tensor:
            return steps(values) if self.task.per_step else values.index_select(0, rows.to(device))

        weights = None if self.weights is None else targets(self.weights)
        return Batch(steps(self.inputs), targets(self.targets), weights=weights)

    def head(self, count: int) -> Split:
        """The first ``count`` sequences, or all, as one test set."""
        if count >= len(self):
            return dataclasses.replace(self, sets=(), headline="")
        steps = count if self.offsets is None else int(self.offsets[count])
        at_steps = steps if self.task.per_step else count
        return dataclasses.replace(
            self,
            inputs=self.inputs[:steps],
            targets=self.targets[:at_steps],
            weights=None if self.weights is None else self.weights[:at_steps],
            offsets=None if self.offsets is None else self.offsets[: count + 1],
            sets=(),
            headline="",
        )

    def spread(self, count: int) -> Split:
        """At most ``count`` sequences, evenly spaced, as one test set."""
        if count >= len(self):
            return dataclasses.replace(self, sets=(), headline="")
        rows = torch.arange(count) * len(self) // count
        steps = rows
        if self.offsets is not None:
            steps = torch.cat([torch.arange(*self.offsets[row : row + 2]) for row in rows.tolist()])
        at_steps = steps if self.task.per_step else rows
        lengths = self.lengths[rows]
        return dataclasses.replace(
            self,
            inputs=self.inputs[steps],
            targets=self.targets[at_steps],
            weights=None if self.weights is None else self.weights[at_steps],
            offsets=None if self.offsets is None else _offsets(lengths),
            sets=(),
            headline="",
        )

    def part(self, start: int, end: int) -> Rows:
        """The targets of the sequences from ``start`` to before ``end``, and what belongs to them,
        in the order of the dataset.
        """
        first, last = start, end
        targets, weights = self.targets, self.weights
        if self.task.per_step and self.offsets is not None:
            first, last = int(self.offsets[start]), int(self.offsets[end])
        targets, weights = targets[first:last], None if weights is None else weights[first:last]
        if self.task.per_step and self.offsets is None:
            targets = targets.flatten(0, 1)
            weights = None if weights is None else weights.flatten()
        return Rows(targets, weights, self.lengths[start:end])


def _offsets(lengths: Tensor) -> Tensor:
    """Where sequences of these lengths begin, one after another, and the end."""
    return torch.cat([lengths.new_zeros(1), lengths]).cumsum(0)


@dataclass(frozen=True)
class Rows:
    """The targets of consecutive sequences; with targets at each step, each step is a row.

    Args:
        targets: (rows,) int64 for a label, else (rows, outputs).
        weights: (rows,); None if all are 1.
        lengths: number of steps of each sequence, (sequences,) int64, on the CPU.
    """

    targets: Tensor
    weights: Tensor | None
    lengths: Tensor
