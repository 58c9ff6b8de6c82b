"""Training sequences that are generated during training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import torch

from seqbench.errors import DataError
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object
from seqbench.training.split import Batch, Split
from seqbench.training.split_checks import Flaw, checked_split
from seqbench.types import Task


@dataclass(frozen=True)
class FreshSplit:
    """Training sequences that are new at every step: see :class:`seqbench.Fresh`.

    Args:
        dataset: the dataset that they belong to; ``draw`` is a function of its package.
        draw_path: ``"package.module:function"``.
        parameters: of ``draw``.
        size: sequences of one epoch.
        seed: of the dataset.
    """

    task: Task
    dataset: Choice
    draw_path: str
    parameters: Mapping[str, Any]
    size: int
    seed: int

    def __len__(self) -> int:
        return self.size

    def draw(self, seed: int, step: int, count: int) -> Batch:
        """The sequences of one step, padded at the end if their lengths differ.

        Args:
            seed: of the trial.
            step: number of the step.

        Raises:
            DataError: they do not match the task.
            PluginError, Exception: any error of the plugin's own code.
        """
        return self.drawn(seed, step, count).batch(torch.arange(count))

    def drawn(self, seed: int, step: int, count: int) -> Split:
        """As :meth:`draw`, without padding."""
        choice = dataclasses.replace(self.dataset, import_path=self.draw_path)
        function = load_object(choice)
        arguments = (stream_seed(self.seed, seed, step), count)
        check_call(choice, function, *arguments, **self.parameters)
        what = f"{self.draw_path} for step {step} of seed {seed}"
        try:
            split = checked_split(
                function(*arguments, **self.parameters), self.task, what, may_be_empty=True
            )
            if len(split) != count:
                raise Flaw(f"{what} returned {len(split):,} sequences, not {count:,}")
            if (longest := int(split.lengths.max())) > self.task.length:
                raise Flaw(
                    f"{what} returned {longest} steps, but task.length is {self.task.length}"
                )
        except Flaw as flaw:
            raise DataError(
                f"dataset {choice.name!r} of {choice.distribution} {choice.version}: {flaw}"
            ) from None
        return split


def is_own(draw_path: str, dataset: Choice) -> bool:
    """Whether a function is of the same outermost package as a dataset's ``load``, so that the
    dataset's version and source are also those of the function.
    """
    package, own = (path.partition(":")[0].partition(".")[0] for path in
                    (draw_path, dataset.import_path))  # fmt: skip
    return package == own


def stream_seed(*numbers: int) -> int:
    """A seed below 2**32 from several numbers; NumPy guarantees that it never changes."""
    return int(numpy.random.SeedSequence(numbers).generate_state(1)[0])
