"""The cell of a training: its steps, on the batches that the training would form."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from seqbench.measure.latency.cells import Cell, Prepared, settings_of
from seqbench.measure.latency.mixture import mixture_of, representatives
from seqbench.measure.latency.protocol import MAX_TRAINING_CYCLE
from seqbench.measure.subject import Subject
from seqbench.records import AS_DATA, Length
from seqbench.runtimes.registry import EAGER
from seqbench.training.batches import POOL, Recipe, batches_of
from seqbench.training.fresh import FreshSplit
from seqbench.training.split import Split
from seqbench.training.step import Step


def training_cell(subject: Subject, train: Mapping[str, Any]) -> Cell:
    """The steps of a training, each with forming its batches, as the training loop does.

    With sequences of one length, steps follow each other as in an epoch. Otherwise a cycle of them
    stands for the epoch, so that every block has the same ones.

    Args:
        train: the training settings.
    """
    steps = _steps_of_epoch(subject, train)
    each = [recipe.lengths for recipes in steps for recipe in recipes]
    lengths = torch.unique(torch.cat(each)).tolist()
    if len(lengths) > 1:
        places = [sum(recipe.places for recipe in recipes) for recipes in steps]
        steps = [steps[n] for n in representatives(places, MAX_TRAINING_CYCLE)]
    sequences = fmean(sum(map(len, recipes)) for recipes in steps)
    training = _Training(subject, train)

    def prepare() -> Prepared:
        training.restart()
        if len(lengths) == 1:
            turn = itertools.cycle(steps)
            return [lambda: training.step(next(turn))], {"sequences": sequences}
        each = [[recipe.lengths for recipe in recipes] for recipes in steps]
        facts = {"sequences": sequences, "mixture": mixture_of(each)}
        return [partial(training.step, recipes) for recipes in steps], facts

    length: Length = AS_DATA if len(lengths) > 1 else lengths[0]
    settings = settings_of("training_step", round(sequences), length, train["threads"], EAGER)
    return Cell(settings, prepare, torch.enable_grad, before=training.restart_if_diverged)


def _steps_of_epoch(subject: Subject, train: Mapping[str, Any]) -> list[Sequence[Recipe]]:
    """How the batches of each step of an epoch are formed; of fresh sequences, whose lengths are
    known only once they are drawn, of its first steps.

    Batches and steps with fewer sequences than others are left out, unless batches are of one
    length each: of these, most may have fewer.
    """
    together, split = train.get("accumulate", 1), subject.splits.train
    recipes = batches_of(subject.splits, train, device=subject.device, seed=0).recipes()
    most = POOL * together if isinstance(split, FreshSplit) else None
    every = list(itertools.islice(recipes, most))
    unequal = isinstance(split, Split) and split.offsets is not None
    if not unequal or train.get("batches") != "one_length":
        size = max(map(len, every))
        every = [recipe for recipe in every if len(recipe) == size]
    together = min(together, len(every))
    return [every[n * together :][:together] for n in range(len(every) // together)]


class _Training:
    """A training from the trained weights on."""

    def __init__(self, subject: Subject, train: Mapping[str, Any]):
        self._subject, self._train = subject, train
        self._last: Tensor | None = None

    def restart(self) -> None:
        """Start from the trained weights, with a new optimizer."""
        self._subject.load()
        model = self._subject.model.train()
        self._step = Step.for_measuring(model, self._subject.splits, self._train)
        self._last = None

    def restart_if_diverged(self) -> None:
        """Start again if the loss became NaN or infinite: with these, steps may take another time,
        and models may raise errors.
        """
        if self._last is not None and not math.isfinite(self._last.item()):
            self.restart()

    def step(self, recipes: Sequence[Recipe]) -> None:
        """Form the batches of a step, and make it."""
        self._last = self._step(*[recipe.form() for recipe in recipes])
