"""The calls that stand for all sequences of a test split, with their own lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqbench.measure.latency.protocol import MAX_CYCLE
from seqbench.records import Mixture
from seqbench.training.split import Split


def cycle_of(split: Split, size: int) -> list[Tensor]:
    """The sequences of each call of a cycle, the same for every model.

    The split in its own order, in batches of ``size``; the last one is filled up from the start. Of
    more than :data:`.protocol.MAX_CYCLE` batches, those are chosen that :func:`representatives` has
    for the longest sequence in each, to which the others are padded.

    Returns:
        (size,) int64 each, on the CPU.
    """
    count = math.ceil(len(split) / size)
    batches = (torch.arange(count * size) % len(split)).view(count, size)
    steps = split.lengths[batches].amax(dim=1).tolist()
    return [batches[place] for place in representatives(steps, MAX_CYCLE)]


def representatives(steps: Sequence[int], most: int) -> list[int]:
    """The places of ``most`` values that stand for all of them, in ascending order; all places if
    there are no more values.

    The sorted values are divided into ``most`` parts of equal weight, at whose borders a value may
    belong to both in proportion. Of each part the value that is nearest to its mean is chosen, so
    that the mean of those chosen is about that of all. A value may be chosen twice.
    """
    count = len(steps)
    if count <= most:
        return list(range(count))
    order = sorted(range(count), key=lambda place: steps[place])
    chosen = []
    for part in range(most):
        # In units of which each value has `most` and each part `count`.
        start, end = part * count, (part + 1) * count
        inside = range(start // most, math.ceil(end / most))
        weights = [min((n + 1) * most, end) - max(n * most, start) for n in inside]
        mean = sum(w * steps[order[n]] for w, n in zip(weights, inside, strict=True)) / count
        chosen.append(min(inside, key=lambda n: abs(steps[order[n]] - mean)))
    return sorted(order[n] for n in chosen)


def mixture_of(calls: Sequence[Sequence[Tensor]]) -> Mixture:
    """Describe a cycle.

    Args:
        calls: number of steps of each sequence, for each batch of each call.
    """
    batches = [lengths for call in calls for lengths in call]
    every = torch.cat(batches).double()
    padded = sum(len(lengths) * int(lengths.max()) for lengths in batches)
    return {
        "calls": len(calls),
        "shortest": int(every.min()),
        "longest": int(every.max()),
        "mean_length": every.mean().item(),
        "padding": 1 - every.sum().item() / padded,
    }
