"""Generates the data, as pure functions of the parameters.

Uses ``numpy.random.RandomState``, whose streams NumPy guarantees never to change, so that a seed
gives the same data everywhere and in future. Each split has its own stream: its data do not depend
on the sizes of the other splits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy
from numpy.random import RandomState

from seqbench import DataContext, Splits, Task

if TYPE_CHECKING:
    from torch import Tensor

Arrays = tuple["numpy.ndarray[Any, Any]", "numpy.ndarray[Any, Any]"]

#: All numbers drawn for "adding" are multiples of this, and so exact in float32.
GRAIN = 2.0**-24


def adding(context: DataContext, *, length: int, **sizes: int) -> Splits:
    """The adding problem: each step is a number in [0, 1) and a mark, 1 at exactly two steps.

    One mark is in the first half of the sequence, one in the second; the target is the sum of the
    two marked numbers. Always predicting 1 has a mean squared error of 1/6.
    """
    task = Task(input="features", input_size=2, target="value", output_size=1, length=length)
    return _splits(task, lambda random, n: _adding(random, n, length), **sizes)


def parity(context: DataContext, *, length: int, **sizes: int) -> Splits:
    """Parity: whether a sequence of zeros and ones has an odd number of ones.

    Sequences are drawn independently. There are only ``2 ** length`` of them, so short ones appear
    in several splits: the test then shows what a model can represent, not whether it generalizes.
    """
    task = Task(
        input="tokens",
        input_size=2,
        target="label",
        output_size=2,
        length=length,
        class_names=("even", "odd"),
    )
    return _splits(task, lambda random, n: _parity(random, n, length), **sizes)


def _adding(random: RandomState, n: int, length: int) -> Arrays:
    x = numpy.zeros((n, length, 2), dtype=numpy.float32)  # (n, time, [number, mark])
    x[:, :, 0] = random.randint(0, 2**24, size=(n, length), dtype=numpy.int32) * GRAIN
    rows = numpy.arange(n)
    half = length // 2
    first = random.randint(0, half, size=n, dtype=numpy.int64)
    second = random.randint(half, length, size=n, dtype=numpy.int64)
    x[rows, first, 1] = 1
    x[rows, second, 1] = 1
    y = x[rows, first, 0] + x[rows, second, 0]  # (n,)
    return x, y[:, None]


def _parity(random: RandomState, n: int, length: int) -> Arrays:
    x = random.randint(0, 2, size=(n, length), dtype=numpy.int64)  # (n, time)
    return x, x.sum(axis=1) % 2


def _splits(
    task: Task,
    generate: Callable[[RandomState, int], Arrays],
    *,
    train_size: int,
    validation_size: int,
    test_size: int,
    seed: int,
) -> Splits:
    import torch

    def split(stream: int, n: int) -> tuple[Tensor, Tensor]:
        x, y = generate(RandomState([seed, stream]), n)
        return torch.from_numpy(x), torch.from_numpy(y)

    return Splits(
        task,
        train=split(0, train_size),
        test=split(1, test_size),
        validation=split(2, validation_size) if validation_size else None,
    )
