"""Training sequences that are generated during training."""

from __future__ import annotations

from dataclasses import dataclass

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
        choice: the function and its parameters, with the dataset's name and package.
        size: sequences of one epoch.
        seed: of the dataset.
    """

    task: Task
    choice: Choice
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
        function = load_object(self.choice)
        arguments = (stream_seed(self.seed, seed, step), count)
        check_call(self.choice, function, *arguments, **self.choice.params)
        what = f"{self.choice.import_path} for step {step} of seed {seed}"
        try:
            split = checked_split(function(*arguments, **self.choice.params), self.task, what)
            if len(split) != count:
                raise Flaw(f"{what} returned {len(split):,} sequences, not {count:,}")
            if (longest := int(split.lengths.max())) > self.task.length:
                raise Flaw(
                    f"{what} returned {longest} steps, but task.length is {self.task.length}"
                )
        except Flaw as flaw:
            raise DataError(
                f"dataset {self.choice.name!r} of {self.choice.distribution} "
                f"{self.choice.version}: {flaw}"
            ) from None
        return split


def stream_seed(*numbers: int) -> int:
    """A seed below 2**32 from several numbers; NumPy guarantees that it never changes."""
    return int(numpy.random.SeedSequence(numbers).generate_state(1)[0])
