"""Encoders and datasets with one bug each, planted for the checks to find."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqbench import DataContext, Splits, Task

SIZE = 8


class Correct(nn.Module):
    """A layer without a bug, and the base class of those with one."""

    def __init__(self, input_size: int):
        super().__init__()
        self.inner = nn.Linear(input_size, SIZE)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.inner(x)).cumsum(1)


class MixesRows(Correct):
    def forward(self, x: Tensor) -> Tensor:
        hidden = super().forward(x)
        return hidden - hidden.mean(dim=0, keepdim=True)


class RunsAlongTheBatch(Correct):
    """Like a recurrent layer of torch without ``batch_first=True``."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.inner(x)).cumsum(0)


class NumbersTheBatch(Correct):
    """Positional encoding along the wrong axis."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = super().forward(x)
        return hidden + torch.arange(len(x), device=x.device)[:, None, None] - len(x)


class ScalesWithTheBatch(Correct):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2 / len(x)


class KeepsStateInTraining(Correct):
    state: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        hidden = super().forward(x)
        if self.training:
            before, self.state = self.state, hidden[:, -1:].detach()
            if before is not None and before.shape == hidden[:, -1:].shape:
                hidden = hidden + before
        return hidden


class KeepsState(Correct):
    state: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        hidden = super().forward(x)
        if self.state is not None and self.state.shape == hidden[:, -1:].shape:
            hidden = hidden + self.state
        self.state = hidden[:, -1:].detach()
        return hidden


class Noisy(Correct):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + 0.01 * random.random())


class AlwaysDrops(Correct):
    def __init__(self, input_size: int, dropout: float):
        super().__init__(input_size)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(super().forward(x), self.dropout)


class NeverDrops(AlwaysDrops):
    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(Correct.forward(self, x), self.dropout, training=False)


class UnusedParameter(Correct):
    def __init__(self, input_size: int):
        super().__init__(input_size)
        self.spare = nn.Linear(SIZE, SIZE)


class Unstable(Correct):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (0.0 * self.inner.weight.sum()).sqrt()


class DoublePrecision(Correct):
    def __init__(self, input_size: int):
        super().__init__(input_size)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())


class NoShortSequences(Correct):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + functional.max_pool1d(x.mean(2), 2)[:, :1, None]


class NoBatchOfOne(Correct):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.squeeze(0))


class NoLengthOfOne(Correct):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze(1)


class Overwrites(Correct):
    def forward(self, x: Tensor) -> Tensor:
        if not x.requires_grad:
            x -= x.mean(dim=1, keepdim=True)
        return super().forward(x)


class OwnSeed(Correct):
    def __init__(self, input_size: int):
        torch.manual_seed(42)
        super().__init__(input_size)


class NoSeed(Correct):
    def __init__(self, input_size: int):
        super().__init__(input_size)
        with torch.no_grad():
            self.inner.weight.mul_(random.random())


class PlainTensor(Correct):
    def __init__(self, input_size: int):
        super().__init__(input_size)
        self.scale = torch.full((SIZE,), 2.0)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


class Unsaved(Correct):
    """Its random factor is not saved."""

    def __init__(self, input_size: int):
        super().__init__(input_size)
        self.factor = float(torch.rand(()))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.factor


class ChangesThreads(Correct):
    def __init__(self, input_size: int):
        super().__init__(input_size)
        torch.set_num_threads(torch.get_num_threads() + 1)


class SetsThreads(Correct):
    def __init__(self, input_size: int):
        torch.set_num_threads(3)
        super().__init__(input_size)


class ReseedsInForward(Correct):
    def forward(self, x: Tensor) -> Tensor:
        torch.manual_seed(42)
        return super().forward(x)


class DependsOnValues(Correct):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.abs().max().item() < 1e9 else 0 * x)


class OverwritesState(Correct):
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        hidden = torch.tanh(self.inner(x))
        if state is None:
            return hidden, hidden
        return state.add_(hidden), state


class WrongStep(Correct):
    """Forgets all but the last step."""

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return torch.tanh(self.inner(x)), ()


class BothWays(nn.Module):
    """Reads in both directions without saying so."""

    halves = (0, 1)

    def __init__(self, input_size: int):
        super().__init__()
        self.layer = nn.GRU(input_size, SIZE, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        halves = self.layer(x)[0].chunk(2, dim=-1)
        return torch.cat([halves[half] for half in self.halves], dim=-1)


class StackedBothWays(BothWays):
    def __init__(self, input_size: int):
        super().__init__(input_size)
        self.layer = nn.GRU(input_size, SIZE, 2, batch_first=True, bidirectional=True)


class BackwardFirst(BothWays):
    bidirectional = True
    halves = (1, 0)


class ClaimsBothWays(Correct):
    bidirectional = True


class FarAhead(Correct):
    """Without a bug: it looks 21 steps ahead."""

    def forward(self, x: Tensor) -> Tensor:
        later = functional.pad(x[:, 21:], (0, 0, 0, min(21, x.shape[1])))
        return super().forward(x) + torch.tanh(self.inner(later))


class Gated(Correct):
    """Without a bug: it looks ahead once training has opened its gate."""

    def __init__(self, input_size: int):
        super().__init__(input_size)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        hidden = super().forward(x)
        return hidden + self.gate * hidden.flip(1)


class TakesLengths(Correct):
    """Without a bug, and the base class of those that treat padding wrongly: adds the mean over all
    true steps.
    """

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        hidden, real = super().forward(x), self.real(x, lengths)
        return hidden + (hidden * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)

    def real(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """1 at true steps, else 0: (batch, time, 1)"""
        steps = torch.arange(x.shape[1], device=x.device)
        ends = torch.full((len(x),), x.shape[1]) if lengths is None else lengths
        return (steps < ends.to(x.device)[:, None])[..., None].float()


class MeanOverPadding(TakesLengths):
    def real(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        return torch.ones_like(x[..., :1])


class DividesByTheWrongLength(TakesLengths):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        hidden, real = Correct.forward(self, x), self.real(x, lengths)
        return hidden + (hidden * real).mean(1, keepdim=True)


class OneStepTooMany(TakesLengths):
    def real(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        return super().real(x, None if lengths is None else lengths + 1)


class OneStepTooFew(TakesLengths):
    def real(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        return super().real(x, None if lengths is None else (lengths - 1).clamp(min=1))


class OtherWithLengths(TakesLengths):
    """Right for padding, but other answers without ``lengths``."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x, lengths) if lengths is not None else Correct.forward(self, x)


class OtherIfAllAreFull(TakesLengths):
    """It takes the mean only if something is padded."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is not None and bool((lengths == x.shape[1]).all()):
            return Correct.forward(self, x)
        return super().forward(x, lengths)


class ChangesLengths(TakesLengths):
    def real(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        real = super().real(x, lengths)
        if lengths is not None:
            lengths -= 1
        return real


class LastPaddedStep(Correct):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        hidden = super().forward(x)
        return hidden + hidden[:, -1:]


class BackwardFromThePadding(BothWays):
    bidirectional = True

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x)


class PacksSorted(BothWays):
    """Packs a batch as if its sequences were sorted by length."""

    bidirectional = True

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None:
            return super().forward(x)
        packed = pack_padded_sequence(x, lengths, batch_first=True)
        return pad_packed_sequence(self.layer(packed)[0], True, total_length=x.shape[1])[0]


class StaysSorted(BothWays):
    """Sorts a batch by length and does not restore the order."""

    bidirectional = True

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None:
            return super().forward(x)
        order = torch.argsort(lengths, descending=True, stable=True)
        packed = pack_padded_sequence(x[order], lengths[order], batch_first=True)
        hidden, _ = pad_packed_sequence(self.layer(packed)[0], True, total_length=x.shape[1])
        return self.restored(hidden, order)

    def restored(self, hidden: Tensor, order: Tensor) -> Tensor:
        return hidden


class SortsTwice(StaysSorted):
    """Right for two sequences, in whatever order."""

    def restored(self, hidden: Tensor, order: Tensor) -> Tensor:
        return hidden[order]


class Restores(StaysSorted):
    """Without a bug."""

    def restored(self, hidden: Tensor, order: Tensor) -> Tensor:
        return hidden[torch.argsort(order)]


class Attends(Correct):
    """Without a bug, except that it does not take ``lengths``."""

    def forward(self, x: Tensor) -> Tensor:
        return self.attended(x, None)

    def attended(self, x: Tensor, allowed: Tensor | None) -> Tensor:
        hidden = torch.tanh(self.inner(x))
        scaled = functional.scaled_dot_product_attention(hidden, hidden, hidden, attn_mask=allowed)
        return hidden + scaled


class AttendsToPadding(Attends):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.attended(x, None)


class MasksTheQueries(Attends):
    """The mask is transposed: padding does not attend, but is attended to."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None:
            return self.attended(x, None)
        real = torch.arange(x.shape[1]) < lengths[:, None]
        return self.attended(x, real.to(x.device)[:, :, None]).nan_to_num()


class MasksTheKeys(Attends):
    """Without a bug."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None:
            return self.attended(x, None)
        real = torch.arange(x.shape[1]) < lengths[:, None]
        return self.attended(x, real.to(x.device)[:, None, :])


class FindsPaddingByItsZeros(Correct):
    """Right for what seqbench pads with, as long as no true step is zero."""

    def forward(self, x: Tensor) -> Tensor:
        hidden, real = super().forward(x), (x != 0).any(-1, keepdim=True)
        return hidden + (hidden * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)


class MasksInEvaluationOnly(TakesLengths):
    def real(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        return super().real(x, None if self.training else lengths)


class OpensToPadding(TakesLengths):
    """A gate that is closed at first hides that the last padded step is added."""

    def __init__(self, input_size: int):
        super().__init__(input_size)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        hidden = super().forward(x, lengths)
        return hidden + self.gate * Correct.forward(self, x)[:, -1:]


class NormalizesTheBatch(Correct):
    """Without a bug, but in training, the means of batch normalization include padding."""

    def __init__(self, input_size: int):
        super().__init__(input_size)
        self.norm = nn.BatchNorm1d(SIZE)

    def forward(self, x: Tensor) -> Tensor:
        normalized: Tensor = self.norm(self.inner(x).mT).mT
        return super().forward(x) + normalized


class LearnsNothing(Correct):
    def forward(self, x: Tensor) -> Tensor:
        return 0.0 * super().forward(x)


class Pools(nn.Module):
    """Whole models that treat padding rightly, unless there is a target at each step."""

    def __init__(self, task: Task):
        super().__init__()
        self.task = task
        tokens = task.input == "tokens"
        self.embedding = nn.Embedding(task.input_size, SIZE) if tokens else None
        self.inner = nn.Linear(SIZE if tokens else task.input_size, task.output_size)

    def forward(self, x: Any, lengths: Tensor | None = None) -> Any:
        hidden = self.inner(self.embedding(x) if self.embedding else x)
        if self.task.per_step:
            return hidden + hidden.mean(1, keepdim=True)
        if lengths is None:
            return hidden.mean(1)
        real = torch.arange(x.shape[1]) < lengths[:, None]
        kept: Tensor = hidden * real[..., None].to(x.device)
        return kept.sum(1) / lengths[:, None].to(x.device)


class Whole(nn.Module):
    """Whole models for the length of their task only."""

    def __init__(self, task: Task):
        super().__init__()
        self.task = task
        tokens = task.input == "tokens"
        self.embedding = nn.Embedding(task.input_size, task.input_size) if tokens else None
        self.steps = task.length if task.per_step else 1
        size = task.length * task.input_size
        self.inner = nn.Linear(size, self.steps * task.output_size)

    def forward(self, x: Any) -> Any:
        answers = self.inner((self.embedding(x) if self.embedding else x).flatten(1))
        return answers if self.steps == 1 else answers.view(len(x), self.steps, -1)


class Wise(nn.Module):
    """A whole model for one label, whose own training step has an auxiliary head."""

    def __init__(self, task: Task):
        super().__init__()
        self.head = nn.Linear(task.input_size, task.output_size)
        self.other = nn.Linear(task.input_size, task.output_size)

    def forward(self, x: Any) -> Any:
        return self.head(x.mean(1))

    def losses(self, batch: Any) -> Any:
        answers = self(batch.inputs) + self.other(batch.inputs.mean(1))
        return nn.functional.cross_entropy(answers, batch.targets, reduction="none")

    def training_step(self, batch: Any) -> Any:
        return self.losses(batch).mean()


class PerSequence(Wise):
    def training_step(self, batch: Any) -> Any:
        return self.losses(batch)


class Detached(Wise):
    def training_step(self, batch: Any) -> Any:
        return self.losses(batch).mean().detach()


class TwoArguments(Wise):
    def training_step(self, batch: Any, index: int) -> Any:  # type: ignore[override]
        return self.losses(batch).mean()


class NeedsLengths(Wise):
    def training_step(self, batch: Any) -> Any:
        return self.losses(batch).mean() / batch.lengths.max()


def leaks(context: DataContext, seed: int) -> Splits:
    x, y = _drawn(seed)
    return Splits(TASK, (x, y), (x[:50], y[:50]))


_GENERATOR = torch.Generator().manual_seed(0)


def keeps_drawing(context: DataContext, seed: int) -> Splits:
    x, y = torch.randn(400, 4, 2, generator=_GENERATOR), torch.arange(400) % 3
    y = y[torch.randperm(400, generator=_GENERATOR)]
    return Splits(TASK, (x[:200], y[:200]), (x[200:], y[200:]))


def short_and_leaking(context: DataContext, seed: int) -> Splits:
    x, y = _drawn(seed)
    train = (x[:, :1], y)
    return Splits(replace(TASK, length=1), train, train)


def validates_on_test(context: DataContext, seed: int) -> Splits:
    test = _drawn(seed + 1)
    return Splits(TASK, _drawn(seed), test, test)


def in_the_order_of_a_set(context: DataContext, seed: int) -> Splits:
    x, y = _drawn(seed)
    order = [int(word) for word in {str(number) for number in range(len(x))}]
    return Splits(TASK, (x[order], y), _drawn(seed + 1))


def drifts(context: DataContext, seed: int) -> Splits:
    drawn = _drawn(random.randrange(10**9))
    return Splits(TASK, drawn, _drawn(seed + 1))


def one_seed(context: DataContext, seed: int) -> Splits:
    return Splits(TASK, _drawn(0), _drawn(1), _drawn(2))


def lacks_a_class(context: DataContext, seed: int) -> Splits:
    x, y = _drawn(seed)
    return Splits(TASK, (x, y.clamp(max=1)), _drawn(seed + 1))


def lacks_a_rare_class(context: DataContext, seed: int) -> Splits:
    """Like the characters of a text: two classes are declared, rare, and not in the training."""
    x, y = _drawn(seed)
    test_x, test_y = _drawn(seed + 1)
    test_y = test_y.clamp(max=1)
    test_y[7] = 2
    return Splits(replace(TASK, output_size=4), (x, y.clamp(max=1)), (test_x, test_y))


def draws_only_validation(context: DataContext, seed: int, validation: int) -> Splits:
    """A fixed collection; the seed chooses the validation sequences."""
    (x, y), held = _drawn(0), torch.randperm(200, generator=torch.Generator().manual_seed(seed))
    kept, drawn = held[validation:].sort().values, held[:validation]
    pair = (x[drawn], y[drawn]) if validation else None
    return Splits(TASK, (x[kept], y[kept]), _drawn(1), pair)


def out_of_range(context: DataContext, seed: int) -> Splits:
    x, y = _drawn(seed)
    return Splits(TASK, (x, y + 1), _drawn(seed + 1))


def not_a_number(context: DataContext, seed: int) -> Splits:
    x, y = _drawn(seed)
    x[3, 1, 0] = float("nan")
    return Splits(TASK, (x, y), _drawn(seed + 1))


def reseeds(context: DataContext, seed: int) -> Splits:
    torch.manual_seed(seed)
    return Splits(TASK, _drawn(seed), _drawn(seed + 1))


TASK = Task("features", 2, "label", 3, 4)


def _drawn(seed: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(200, 4, 2, generator=draw), torch.randint(0, 3, (200,), generator=draw)
