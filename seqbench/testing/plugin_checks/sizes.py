"""The check of batch sizes and lengths, and the sizes that the other checks can use.

A model that does not accept a size fails the check `sizes` only: the other checks leave it out, so
that one cause gives one failure.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from seqbench.errors import reason_of
from seqbench.testing.plugin_checks.answers import answer, check_answer
from seqbench.testing.plugin_checks.candidate import LENGTH, Candidate, example
from seqbench.testing.plugin_checks.results import Violation
from seqbench.types import Task

OTHER_LENGTHS = (1, 2, LENGTH + 1, 3 * LENGTH)


def any_size(candidate: Candidate) -> str:
    """Check that one model answers batches of one, and all lengths that it declares.

    Raises:
        Violation: it fails for a size, or its answer does not have the required form.
    """
    lengths = [length for length in OTHER_LENGTHS if _declares(candidate, length)]
    batches_of_one = [(1, length) for length in (1, LENGTH) if _declares(candidate, length)]
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        for batch, length in [*batches_of_one, *((2, n) for n in lengths), (5, LENGTH)]:
            try:
                _check_size(candidate, model, (kind, task), batch, length)
            except Violation as violation:
                raise _with_hint(violation, candidate, length) from violation
    declared = candidate.choice.lengths
    return "" if declared == "any" else f"it declares lengths={declared!r}"


def accepted_lengths(
    candidate: Candidate, kind: str, task: Task, wanted: Sequence[int]
) -> list[int]:
    """Those of ``wanted`` that the model accepts; the length of its task if it accepts none."""
    accepted = [length for length in wanted if accepts(candidate, kind, task, length=length)]
    return accepted or [LENGTH]


def smallest_batch(candidate: Candidate, kind: str, task: Task) -> int:
    """1, or 2 for a model that does not accept a batch of one."""
    return 1 if accepts(candidate, kind, task, batch=1) else 2


def accepts(
    candidate: Candidate, kind: str, task: Task, *, batch: int = 2, length: int = LENGTH
) -> bool:
    """Whether a new model answers a batch of this size; found by one call, and kept.

    A length that the model does not declare is not accepted.
    """
    if not _declares(candidate, length):
        return False
    known, size = candidate.accepted, (kind, batch, length)
    if size not in known:
        try:
            _check_size(candidate, candidate.model(task), (kind, task), batch, length)
            known[size] = True
        except Violation:
            known[size] = False
    return known[size]


def _declares(candidate: Candidate, length: int) -> bool:
    """Whether the model must accept a length. A whole model is built for that of its task."""
    if candidate.choice.lengths == "fixed":
        return length == LENGTH
    bounded = candidate.choice.lengths == "bounded" or candidate.choice.kind == "model"
    return length <= LENGTH or not bounded


def _check_size(
    candidate: Candidate, model: nn.Module, of: tuple[str, Task], batch: int, length: int
) -> None:
    """Raise Violation unless the model answers a batch of this size in the required form."""
    kind, task = of
    x = candidate.inputs(task, batch, length)
    try:
        returned = answer(model, x)
    except Exception as error:
        raise Violation(
            f"an answer to a batch of {batch}, length {length}",
            reason_of(error), f"{kind}, {example(x)}",
        ) from error  # fmt: skip
    check_answer(kind, task, x, returned)


def _with_hint(violation: Violation, candidate: Candidate, length: int) -> Violation:
    """What to do about a length that a whole model does not accept."""
    if length == LENGTH or candidate.choice.kind != "model":
        return violation
    hint = "if it only accepts the length of its task, declare ModelSpec(..., lengths='fixed')"
    return Violation(violation.expected, f"{violation.got} ({hint})", violation.example)
