"""The check whether a model's answers change with padding."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import reason_of
from seqbench.runtimes.compare import TOLERANCE
from seqbench.testing.plugin_checks.candidate import LENGTH, Candidate, example, nudged
from seqbench.testing.plugin_checks.results import Skipped, Violation, Warned
from seqbench.testing.plugin_checks.sizes import accepted_lengths
from seqbench.training.causality import Untestable
from seqbench.training.model import SequenceModel, forward_of, takes_lengths
from seqbench.training.padding import (
    Change,
    answer_scale,
    difference_words,
    find_change,
    relative_difference,
    true_steps,
)
from seqbench.training.split import Batch, Split
from seqbench.types import ENCODER_PARAMETERS, Task

#: The lengths in each batch, from the smallest batch on. With these four, sorting the sequences
#: twice does not restore their order.
BATCHES = ((1, 2), (2, LENGTH), (LENGTH - 1, LENGTH), (2, LENGTH, 1, LENGTH - 1), (LENGTH, 64))

#: The seed of the inputs that take the place of zeros in the padding.
OTHER = 100

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def ignores_padding(candidate: Candidate) -> str:
    """Check that the answer to a sequence is the same alone and padded at the end in a batch.

    Raises:
        Violation: it is not, although the model takes ``lengths``; or it uses them wrongly.
        Warned: it is not, and the model does not take ``lengths``; or only in training, because of
            batch normalization.
        Skipped: the model accepts sequences of one length only.
    """
    subject: _Subject | None = None
    for subject in _subjects(candidate):
        subject.check_alone()
        if subject.takes:
            subject.check_full()
        subject.check_in_training()
    if subject is None:
        raise Skipped("it accepts sequences of one length only")
    return f"takes `lengths`: {'yes' if subject.takes else 'no'}"


def _subjects(candidate: Candidate) -> Iterator[_Subject]:
    """A whole model for each kind of task; an encoder with each readout, since it knows neither the
    kind of input nor that of target.
    """
    seen = set()
    for kind, task in candidate.tasks():
        readouts: list[dict[str, Any]] = [{}]
        if candidate.choice.kind == "encoder":
            if task.per_step in seen:
                continue
            seen.add(task.per_step)
            if not task.per_step:
                readouts = [{"readout": name} for name in ENCODER_PARAMETERS["readout"].choices]
        known = dict.fromkeys(length for lengths in BATCHES for length in lengths)
        accepted = accepted_lengths(candidate, kind, task, tuple(known))
        batches = [[n for n in lengths if n in accepted] for lengths in BATCHES]
        unequal = tuple(tuple(lengths) for lengths in batches if len(set(lengths)) > 1)
        for readout in readouts if unequal else ():
            words = ", ".join([kind, *(f"readout {name}" for name in readout.values())])
            yield _Subject(candidate, words, task, candidate.model(task, **readout), unequal)


@dataclass(frozen=True)
class _Subject:
    """A model to check.

    Args:
        words: the kind of task, and the readout if there is one.
        model: in evaluation mode.
        batches: the lengths in each batch.
    """

    candidate: Candidate
    words: str
    task: Task
    model: nn.Module
    batches: tuple[tuple[int, ...], ...]

    @property
    def takes(self) -> bool:
        """Whether the model is given ``lengths``."""
        if isinstance(self.model, SequenceModel):
            return self.model.passes_lengths
        return takes_lengths(self.model)

    def check_alone(self) -> None:
        """Raise Violation or Warned if an answer differs from that without padding, or depends on
        what the padding contains.
        """
        models = ((self.model, ""), (nudged(self.model), " (not with its initial weights)"))
        for model, weights in models:
            for lengths in self.batches:
                if change := self._change(model, lengths):
                    self._report(f"{change}{weights}", lengths)
        for model, weights in models:
            for lengths in self.batches:
                if by := self._difference(model, lengths):
                    where = "with other padding than zeros, an answer"
                    self._report(f"{where} {difference_words(by)}{weights}", lengths)

    def check_full(self) -> None:
        """Raise Violation unless ``lengths`` without padding change nothing."""
        for length in dict.fromkeys(max(lengths) for lengths in self.batches):
            x = self.candidate.inputs(self.task, 2, length)
            y = self.candidate.targets(self.task, 2, length)
            whole, full = (
                self._answer(self.model, Batch(x, y, lengths)).flatten(0, -2)
                for lengths in (None, torch.full((2,), length))
            )
            by = relative_difference(full, whole, answer_scale(whole))
            if by > TOLERANCE[torch.float32]:
                raise Violation(
                    "the same answer with `lengths` that are all full as without `lengths`",
                    f"it {difference_words(by)}",
                    f"{self.words}, {example(x)}",
                )

    def check_in_training(self) -> None:
        """Raise Violation or Warned if an answer in training mode depends on what the padding
        contains. It may depend on other sequences there, so it cannot be compared with that alone.
        """
        model, lengths = copy.deepcopy(self.model).train(), max(self.batches, key=len)
        by = self._difference(model, lengths)
        if not by:
            return
        where = "in training mode, with other padding than zeros, an answer"
        found = f"{where} {difference_words(by)}"
        norms = [type(one).__name__ for one in model.modules() if isinstance(one, NORMS)]
        if norms:
            raise Warned(
                f"{found}: the means of {norms[0]} include padding; train on sequences of unequal "
                "length with `train: {batches: one_length}`, or use another norm"
            )
        self._report(found, lengths)

    def _change(self, model: nn.Module, lengths: Sequence[int]) -> Change | None:
        """The largest change of an answer; None if there is none, or if it cannot be tested."""
        split, rows = self._split(lengths), torch.arange(len(lengths))
        try:
            return find_change(lambda batch: self._answer(model, batch), split, rows)
        except Untestable:  # `noise` checks the initial weights; others may be ones without sense
            return None

    def _difference(self, model: nn.Module, lengths: Sequence[int]) -> float:
        """How much an answer differs if the padding does not consist of zeros; 0 if only by
        rounding, or if the answers vary anyway.
        """
        split, rows = self._split(lengths), torch.arange(len(lengths))
        batch = split.batch(rows)
        zeros, again, others = (
            torch.cat([true_steps(answers, batch, split, row) for row in rows.tolist()])
            for answers in (self._answer(model, one) for one in (batch, batch, self._filled(batch)))
        )
        scale = answer_scale(zeros)
        by = relative_difference(others, zeros, scale)
        varies = relative_difference(again, zeros, scale) > 0
        return 0.0 if varies or by <= TOLERANCE[torch.float32] else by

    def _report(self, found: str, lengths: Sequence[int]) -> None:
        shape = f"{self.words}, lengths {list(lengths)}"
        if self.takes:
            padded = self._split(lengths).batch(torch.arange(len(lengths)))
            raise Violation(
                "the same answer to a sequence alone and padded at the end in a batch with longer "
                "ones, since `forward` takes `lengths`",
                found,
                f"{shape}, {example(padded.inputs)}",
            )
        raise Warned(
            f"{found} ({shape}); take `lengths` in `forward` and "
            "ignore the padding, or train on sequences of unequal length with "
            "`train: {batches: one_length}`"
        )

    def _answer(self, model: nn.Module, batch: Batch) -> Tensor:
        """The answer, with torch's generator seeded.

        Raises:
            Violation: there is none, or ``lengths`` are changed in place.
        """
        torch.manual_seed(0)
        lengths = batch.lengths
        given = None if lengths is None else lengths.tolist()
        where = f"{self.words}, lengths {given}"
        try:
            with torch.no_grad():
                answers = forward_of(model)(batch)
        except Exception as error:
            raise Violation("an answer to a padded batch", reason_of(error), where) from error
        if lengths is not None and lengths.tolist() != given:
            raise Violation("`lengths` unchanged", "they were changed in place", where)
        return answers

    def _split(self, lengths: Sequence[int]) -> Split:
        """Random sequences of these lengths."""
        draw, total = self.candidate, sum(lengths)
        x = [draw.inputs(self.task, 1, length, seed)[0] for seed, length in enumerate(lengths)]
        if self.task.per_step:
            y = draw.targets(self.task, 1, total)[0]
        else:
            y = draw.targets(self.task, len(lengths))
        offsets = torch.tensor([0, *lengths]).cumsum(0)
        return Split(self.task, torch.cat(x), y, offsets=offsets)

    def _filled(self, batch: Batch) -> Batch:
        """The batch with other steps in the padding than zeros: random ones, as all steps are."""
        assert batch.lengths is not None
        count, length = batch.inputs.shape[:2]
        others = self.candidate.inputs(self.task, count, length, OTHER)
        padding = (torch.arange(length) >= batch.lengths[:, None]).to(others.device)
        padding = padding if others.dim() == 2 else padding[..., None]
        return dataclasses.replace(batch, inputs=torch.where(padding, others, batch.inputs))
