"""Whether a model's answers change with padding: whether the answer to a sequence is the same alone
and in a batch with longer ones, where it is padded at the end.

Tested by calling the model. Nothing is assumed about its inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqbench.errors import reason_of
from seqbench.runtimes.compare import TOLERANCE
from seqbench.training.causality import REPEATS, VARY, Untestable
from seqbench.training.fresh import FreshSplit
from seqbench.training.model import forward_of
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Batch, Split

#: Places among the sequences of a split, ordered by length, of those that a model is tested on. The
#: order is not that of their lengths, and sorting it twice does not restore it.
PLACES = (1 / 3, 1.0, 0.0, 2 / 3)

#: Batches of fresh sequences among which one with padding is looked for.
DRAWN_BATCHES = 8

REMEDY = (
    "let its `forward` take `lengths` and ignore the padding, or train it with "
    "`train: {batches: one_length}`"
)

NOT_FINITE = "its answers are finite alone, but not with padding"

Answer = Callable[[Batch], Tensor]


@dataclass(frozen=True)
class Change:
    """An answer that changes with padding.

    Args:
        by: the largest difference, relative to the largest answer; infinite if the answer with
            padding is not finite.
        length: number of steps of the sequence.
        padded: number of steps that it is padded to.
    """

    by: float
    length: int
    padded: int

    def __str__(self) -> str:
        steps = f"{self.length} step{'s' if self.length > 1 else ''}"
        where = f"padded to {self.padded} in a batch"
        if self.length == self.padded:
            where = "the longest of a batch"
        what = f"the answer to a sequence of {steps}, {where},"
        return f"{what} {difference_words(self.by)}"


@dataclass(frozen=True)
class Padding:
    """The result of testing a model.

    Args:
        changes: the largest change, as :attr:`Change.by`, but finite; 0 if there is none.
        unknown: why it is unknown, or ``""``.
    """

    changes: float = 0.0
    unknown: str = ""

    def __or__(self, other: Padding) -> Padding:
        """The result of both tests: the larger change; without any, why it is unknown."""
        changes = max(self.changes, other.changes)
        return Padding(changes, "" if changes else self.unknown or other.unknown)

    @property
    def warning(self) -> str:
        """What to tell the user while the model is training, or ``""``."""
        if not self.changes and self.unknown != NOT_FINITE:
            return ""
        found = self.unknown or (
            f"its answers change with padding, by {self.changes:.2g} times the largest answer, so "
            "its figures depend on which sequences share a batch"
        )
        return f"{found}: {REMEDY}"


def find_change(answer: Answer, split: Split, rows: Tensor) -> Change | None:
    """The largest change of an answer with padding; None if none exceeds rounding.

    Args:
        answer: a batch → answers, in evaluation mode. torch's generators are seeded before.
        rows: the sequences of ``split`` for one batch, of unequal length.

    Raises:
        Untestable: the answers vary or are not finite.
        Exception: any error of ``answer``.
    """
    places = range(len(rows))
    alone = [_alone(answer, split, rows, place) for place in places]
    if not all(bool(one.isfinite().all()) for one in alone):
        raise Untestable("its answer is not finite")
    scale, batch = answer_scale(torch.cat(alone)), split.batch(rows)

    def difference(place: int, seed: int = 0) -> float:
        found = true_steps(_seeded(answer, batch, seed), batch, split, place)
        return relative_difference(found, alone[place], scale)

    differences = [difference(place) for place in places]
    by = max(differences)
    if by <= TOLERANCE.get(scale.dtype, 0.0):
        return None
    place = differences.index(by)
    for seed in range(1, REPEATS + 1):  # the model may be random
        again = _alone(answer, split, rows, place, seed)
        same = relative_difference(again, alone[place], scale) <= TOLERANCE.get(scale.dtype, 0.0)
        if not same or difference(place, seed) <= TOLERANCE.get(scale.dtype, 0.0):
            raise Untestable(VARY)
    return Change(by, int(split.lengths[rows[place]]), batch.inputs.shape[1])


def relative_difference(found: Tensor, expected: Tensor, scale: Tensor) -> float:
    """The largest difference of two answers relative to ``scale``; infinite if not finite.

    Args:
        found, expected: (rows, outputs). scale: (outputs,).
    """
    differences = (found - expected).abs()
    return float((differences / scale).max()) if bool(differences.isfinite().all()) else math.inf


def difference_words(by: float) -> str:
    """What :func:`relative_difference` returned, in words: ``differs by …``."""
    return "is not finite" if math.isinf(by) else f"differs by {by:.2g} times the largest answer"


def answer_scale(answers: Tensor) -> Tensor:
    """The largest answer of each output, but at least that of a typical one: (rows, outputs) →
    (outputs,). An output that is huge everywhere, as for an excluded class, hides no difference in
    others.
    """
    sizes = answers.abs().amax(dim=0)
    return torch.maximum(sizes, sizes.median()).clamp_min(torch.finfo(answers.dtype).tiny)


def _alone(answer: Answer, split: Split, rows: Tensor, place: int, seed: int = 0) -> Tensor:
    """The answer to a sequence without padding, in a batch of copies of it: with as many sequences
    as in the padded batch, the same kernels run. (time or 1, outputs)
    """
    batch = split.batch(rows[place].repeat(len(rows)))
    return true_steps(_seeded(answer, batch, seed), batch, split, 0)


def true_steps(answers: Tensor, batch: Batch, split: Split, place: int) -> Tensor:
    """One sequence's part of the answers to a batch, without padding: (time or 1, outputs)."""
    if not split.task.per_step:
        return answers[place : place + 1]
    length = answers.shape[1] if batch.lengths is None else int(batch.lengths[place])
    return answers[place, :length]


def _seeded(answer: Answer, batch: Batch, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return answer(batch)


def padded_sequences(splits: PreparedSplits, *, batch_size: int, seed: int) -> Split | None:
    """Sequences of a dataset that are padded in training or evaluation; None if none are.

    Args:
        batch_size, seed: of the trial, for fresh sequences.

    Raises:
        DataError, PluginError, Exception: as :meth:`FreshSplit.drawn`.
    """
    for stored in (splits.test, splits.train, splits.validation):
        if isinstance(stored, Split) and stored.offsets is not None and not stored.one_length:
            return stored
    if isinstance(splits.train, FreshSplit):
        for step in range(DRAWN_BATCHES):
            drawn = splits.train.drawn(seed, step, min(batch_size, len(splits.train)))
            if drawn.offsets is not None:
                return drawn
    return None


def padding_of(model: nn.Module, split: Split, device: torch.device) -> Padding:
    """Test a model on a few sequences of unequal length.

    Args:
        model: on ``device``; left in evaluation mode. torch's generators are seeded.
        split: with sequences of unequal length, on the CPU.
    """
    model.eval()
    forward = forward_of(model)

    def answer(batch: Batch) -> Tensor:
        with torch.inference_mode():
            return forward(batch.to(device))

    order = torch.argsort(split.lengths, stable=True)
    places = torch.tensor(PLACES) * (len(order) - 1)
    try:
        found = find_change(answer, split, order[places.round().long()])
    except Untestable as untestable:
        return Padding(unknown=str(untestable))
    except Exception as error:  # it may not accept so few sequences
        return Padding(unknown=f"it has no answer: {reason_of(error)}")
    if found is None:
        return Padding()
    return Padding(unknown=NOT_FINITE) if math.isinf(found.by) else Padding(found.by)
