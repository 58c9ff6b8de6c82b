"""The batches of a training: which sequences each has, and in which order they come."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from seqbench.errors import DataError
from seqbench.training.fresh import FreshSplit
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Batch, Split

#: Bucketed batches are formed by length within as many sequences as this many batches have, drawn
#: at random, so that batches of a large training split vary from epoch to epoch.
POOL = 50


@dataclass(frozen=True)
class Recipe:
    """How a batch is formed, as often as it is asked for.

    Args:
        lengths: number of steps of each of its sequences, (batch,) int64, on the CPU.
        form: forms it, on the device.
    """

    lengths: Tensor
    form: Callable[[], Batch]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def places(self) -> int:
        """Number of steps of all its sequences, padding included."""
        return len(self) * int(self.lengths.max())


class Batches(Protocol):
    """The batches of one training after another epoch.

    Attributes:
        per_epoch: number of batches of an epoch, the same for every epoch.
    """

    @property
    def per_epoch(self) -> int: ...

    def epoch(self) -> Iterator[Batch]:
        """The batches of the next epoch, on the device."""
        ...

    def recipes(self) -> Iterator[Recipe]:
        """How each batch of an epoch is formed; does not count as one of the epochs."""
        ...

    @property
    def padding(self) -> float | None:
        """The fraction of all steps so far that was padding; None for sequences of one length."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Which batches were taken so far, as plain data and tensors."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue after those batches: the next epoch is the rest of that one."""
        ...


def batches_of(
    splits: PreparedSplits, settings: Mapping[str, Any], *, device: torch.device, seed: int
) -> Batches:
    """The batches of a training.

    Args:
        settings: ``batch_size`` and, by default false, ``bucketed``, true and false, ``drop_last``,
            ``batches``, ``shuffle`` and ``carry_state``.
        seed: of the trial. The same seed gives the same batches, also for another model.

    Raises:
        DataError: ``drop_last`` leaves no batch, or the sequences are not for ``carry_state``.
    """
    size, drop_last = settings["batch_size"], settings.get("drop_last", False)
    if drop_last and len(splits.train) < size:
        raise DataError(
            f"train.drop_last leaves no batch: the training split has {len(splits.train)} "
            f"sequences, fewer than train.batch_size {size}; reduce train.batch_size"
        )
    if isinstance(splits.train, FreshSplit):
        for key in ("batches", "shuffle"):
            if key in settings:
                raise DataError(
                    f"train.{key} is for stored sequences, and those of this dataset are fresh: "
                    "leave it out; the dataset decides which sequences make a batch"
                )
        return _FreshBatches(splits.train, size, drop_last, device, seed)
    if settings.get("carry_state"):
        return _ContiguousBatches(splits.train.to(device), size)
    return _StoredBatches(
        splits.train.to(device),
        size,
        torch.Generator().manual_seed(seed),
        drop_last=drop_last,
        order=settings.get("batches", "bucketed"),
        shuffle=settings.get("shuffle", True),
    )


class _StoredBatches:
    """All sequences of a stored split once in each epoch."""

    def __init__(
        self,
        split: Split,
        size: int,
        generator: torch.Generator,
        *,
        drop_last: bool,
        order: str,
        shuffle: bool,
    ):
        self.split, self.size, self.drop_last = split, size, drop_last
        self.order, self.generator, self.shuffle = order, generator, shuffle
        self.lengths = split.lengths
        if split.offsets is None or not shuffle:
            self.order = "shuffled"  # or not, but not by length
        self.real = self.padded = self.done = 0
        self.start, self.resumes = generator.get_state(), False  # of the current epoch
        self.per_epoch = (math.floor if drop_last else math.ceil)(len(split) / size)
        if self.order == "one_length":
            counts = torch.unique(self.lengths, return_counts=True)[1]
            self.per_epoch = int((counts / size).ceil().sum())

    def epoch(self) -> Iterator[Batch]:
        if not self.resumes:
            self.start, self.done = self.generator.get_state(), 0
        self.resumes = False
        for rows in self._rows()[self.done :]:
            self.done += 1
            if self.split.offsets is not None:
                lengths = self.lengths[rows]
                self.real += int(lengths.sum())
                self.padded += int(lengths.max()) * len(rows)
            yield self.split.batch(rows)

    def recipes(self) -> Iterator[Recipe]:
        before = self.generator.get_state()
        every = self._rows()
        self.generator.set_state(before)
        for rows in every:
            yield Recipe(self.lengths[rows.cpu()], partial(self.split.batch, rows))

    @property
    def padding(self) -> float | None:
        if self.split.offsets is None:
            return None
        return 1 - self.real / self.padded

    def state_dict(self) -> dict[str, Any]:
        counts = {"done": self.done, "real": self.real, "padded": self.padded}
        return {"start": self.start, **counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.start, self.resumes = state["start"].cpu(), True
        self.generator.set_state(self.start)
        self.done, self.real, self.padded = state["done"], state["real"], state["padded"]

    def _rows(self) -> list[Tensor]:
        """The sequences of each batch of an epoch."""
        if self.shuffle:
            order = torch.randperm(len(self.split), generator=self.generator)
        else:
            order = torch.arange(len(self.split))
        if self.split.offsets is None:
            order = order.to(self.split.inputs.device)
        if self.order == "one_length":
            return self._shuffled(self._of_one_length(order))
        if self.order == "bucketed":
            return self._shuffled(self._bucketed(order))
        return self._complete(list(torch.split(order, self.size)))

    def _bucketed(self, order: Tensor) -> list[Tensor]:
        """Batches of similar lengths. The incomplete one is at a random place of the last pool."""
        pools = [self._by_length(pool) for pool in torch.split(order, POOL * self.size)]
        rest = len(order) % self.size
        sizes = [self.size] * (len(order) // self.size)
        if rest:
            earlier = (len(pools) - 1) * POOL
            place = torch.randint(len(sizes) - earlier + 1, (1,), generator=self.generator)
            sizes.insert(earlier + int(place), rest)
        return self._complete(list(torch.split(torch.cat(pools), sizes)))

    def _of_one_length(self, order: Tensor) -> list[Tensor]:
        ordered = self._by_length(order)
        counts = torch.unique_consecutive(self.lengths[ordered], return_counts=True)[1]
        groups = torch.split(ordered, counts.tolist())
        return [batch for group in groups for batch in torch.split(group, self.size)]

    def _by_length(self, rows: Tensor) -> Tensor:
        return rows[torch.argsort(self.lengths[rows], stable=True)]

    def _shuffled(self, batches: list[Tensor]) -> list[Tensor]:
        order = torch.randperm(len(batches), generator=self.generator)
        return [batches[number] for number in order.tolist()]

    def _complete(self, batches: list[Tensor]) -> list[Tensor]:
        """Without the incomplete one, if ``drop_last``."""
        if not self.drop_last:
            return batches
        return [batch for batch in batches if len(batch) == self.size]


class _ContiguousBatches:
    """The split as ``size`` streams side by side: each batch continues the one before.

    Every stream has equally many consecutive sequences of the split; fewer sequences than there are
    streams are left over at its end, and are not trained on.

    Only the last sequence of the split may have another length: it is the end of the last stream,
    if it is used, so no state that has passed over padding is handed on.
    """

    def __init__(self, split: Split, size: int):
        self.split, self.size = split, size
        self.per_epoch = len(split) // size
        if not self.per_epoch:
            raise DataError(
                f"train.carry_state: the training split has {len(split)} sequences, fewer than "
                f"train.batch_size {size}; reduce train.batch_size"
            )
        if len(torch.unique(split.lengths[:-1])) > 1:
            raise DataError(
                "train.carry_state needs training sequences of one length, of which only the last "
                f"may have another: these have {int(split.lengths.min()):,} to "
                f"{int(split.lengths.max()):,} steps; cut the text into equal sequences"
            )
        self.done = self.real = self.padded = 0

    def epoch(self) -> Iterator[Batch]:
        self.done %= self.per_epoch
        while self.done < self.per_epoch:
            lengths = self.split.lengths[self._rows(self.done)]
            self.real += int(lengths.sum())
            self.padded += int(lengths.max()) * len(lengths)
            self.done += 1
            yield self._form(self.done - 1)

    def recipes(self) -> Iterator[Recipe]:
        for number in range(self.per_epoch):
            yield Recipe(self.split.lengths[self._rows(number)], partial(self._form, number))

    def _rows(self, number: int) -> Tensor:
        """The sequences of a batch of an epoch, from 0: one of each stream."""
        return torch.arange(self.size) * self.per_epoch + number

    def _form(self, number: int) -> Batch:
        rows = self._rows(number)
        if self.split.offsets is None:
            rows = rows.to(self.split.inputs.device)
        return dataclasses.replace(self.split.batch(rows), continues=number > 0)

    @property
    def padding(self) -> float | None:
        return 1 - self.real / self.padded if self.real < self.padded else None

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("done", "real", "padded")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


@dataclass
class _FreshBatches:
    """Sequences that are drawn for each step."""

    split: FreshSplit
    size: int
    drop_last: bool
    device: torch.device
    seed: int
    step: int = 0
    done: int = 0  # batches of the current epoch
    real: int = 0
    padded: int = 0

    @property
    def per_epoch(self) -> int:
        return (math.floor if self.drop_last else math.ceil)(len(self.split) / self.size)

    def epoch(self) -> Iterator[Batch]:
        self.done %= self.per_epoch
        while self.done < self.per_epoch:
            count = min(self.size, len(self.split) - self.done * self.size)
            self.done += 1
            batch = self.split.draw(self.seed, self.step, count)
            self.step += 1
            steps = batch.inputs.shape[1]
            self.padded += steps * count
            self.real += steps * count if batch.lengths is None else int(batch.lengths.sum())
            yield batch.to(self.device)

    def recipes(self) -> Iterator[Recipe]:
        for step in range(self.per_epoch):
            count = min(self.size, len(self.split) - step * self.size)
            lengths = self.split.drawn(self.seed, step, count).lengths
            yield Recipe(lengths, partial(self._form, step, count))

    def _form(self, step: int, count: int) -> Batch:
        return self.split.draw(self.seed, step, count).to(self.device)

    @property
    def padding(self) -> float | None:
        return 1 - self.real / self.padded if self.real < self.padded else None

    def state_dict(self) -> dict[str, Any]:
        names = ("step", "done", "real", "padded")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
