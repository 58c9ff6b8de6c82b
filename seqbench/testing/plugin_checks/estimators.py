"""The checks of estimators: models with `fit` and `predict`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from seqbench.errors import NotApplicable, PluginError, reason_of
from seqbench.plugins.choice import Choice
from seqbench.testing.plugin_checks.answers import apart
from seqbench.testing.plugin_checks.candidate import CLASSES, FEATURES, VOCABULARY
from seqbench.testing.plugin_checks.declaring import declares_lightly
from seqbench.testing.plugin_checks.process_state import ProcessState, check_unchanged
from seqbench.testing.plugin_checks.results import Check, Skipped, Violation
from seqbench.training.estimators import EstimatorModel, fitted, seeded
from seqbench.training.evaluation import Answered, TaskMetric, evaluate
from seqbench.training.fitting import CPU, Observed
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Split
from seqbench.types import Task

#: Steps of a sequence; convolutions of estimators for time series need several.
LENGTH = 16

TRAIN_SIZE, TEST_SIZE = 48, 24

#: Standard deviation of what is added to waves whose mean and frequency tell the answer.
NOISE = 0.2


@dataclass(frozen=True)
class EstimatorCandidate:
    """An estimator to check.

    Args:
        choice: the model with all its parameters.
        kinds: the kinds of task that it declares.
    """

    choice: Choice
    kinds: tuple[str, ...]

    def tasks(self) -> Iterator[tuple[str, Task]]:
        """Each kind of task, with a small task of that kind."""
        for kind in self.kinds:
            inputs, _, target = kind.partition("/")
            size = VOCABULARY if inputs == "tokens" else FEATURES
            yield kind, Task(inputs, size, target, CLASSES, LENGTH)  # type: ignore[arg-type]

    def fitted(self, splits: PreparedSplits) -> EstimatorModel:
        """Fitted to a small dataset."""
        _ = self.before
        with seeded(0):
            model = fitted(self.choice, splits, 0)
        return model.eval()

    def cases(self) -> Iterator[tuple[str, PreparedSplits, EstimatorModel]]:
        """Each kind of task, with a small dataset, and the estimator that was fitted to it once."""
        for kind, task in self.tasks():
            splits = small_splits(task)
            if kind not in self.known:
                self.known[kind] = self.fitted(splits)
            yield kind, splits, self.known[kind]

    @cached_property
    def known(self) -> dict[str, EstimatorModel]:
        """Fitted estimators by the kind of task."""
        return {}

    @cached_property
    def before(self) -> ProcessState:
        """The state of the process before any of the plugin's code ran."""
        return ProcessState.now()


def small_splits(task: Task, *, unequal: bool = False) -> PreparedSplits:
    """A small dataset: waves whose mean and frequency tell the answer, or tokens that are it."""
    draw = torch.Generator().manual_seed(0)
    return PreparedSplits(
        task,
        _small_split(task, TRAIN_SIZE, draw, unequal=unequal),
        _small_split(task, TEST_SIZE, draw, unequal=unequal),
    )


def _small_split(task: Task, size: int, draw: torch.Generator, *, unequal: bool) -> Split:
    label = torch.arange(size) % CLASSES
    bits = torch.stack([label % 2, label // 2], dim=1).float()
    if task.input == "tokens":
        x = label[:, None].repeat(1, LENGTH)
        x[:, 0] = torch.randint(VOCABULARY, (size,), generator=draw)
    else:
        turns = 2 * math.pi * torch.arange(LENGTH)[None, :, None] / LENGTH
        waves = bits[:, None] + torch.sin((1 + 3 * bits[:, None]) * turns)
        x = torch.zeros(size, LENGTH, FEATURES)
        x[..., :2] = waves + NOISE * torch.randn(waves.shape, generator=draw)
        x[..., 2] = torch.randn(size, LENGTH, generator=draw)
    split = Split(task, x, _targets(task, label, bits))
    if not unequal:
        return split
    lengths = LENGTH - torch.arange(size) % 3
    kept = torch.arange(LENGTH) < lengths[:, None]
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    return Split(task, x[kept], split.targets, offsets=offsets)


def _targets(task: Task, label: Tensor, bits: Tensor) -> Tensor:
    if task.target == "label":
        return label
    if task.target == "labels":
        return (label[:, None] > torch.arange(CLASSES)[None] - 1).to(torch.uint8)
    return (bits @ torch.tensor([[1.0, 2.0, -1.0, 0.5], [0.5, -1.0, 1.0, 2.0]])).contiguous()


def _imports_no_torch(candidate: EstimatorCandidate) -> None:
    declares_lightly(candidate.choice)


def _fits(candidate: EstimatorCandidate) -> str:
    for kind, task in candidate.tasks():
        try:
            candidate.fitted(small_splits(task))
        except Exception as error:
            expected = f"an estimator that can be fitted for {kind}"
            raise Violation(expected, reason_of(error)) from error
    return ", ".join(candidate.kinds)


def _answers(candidate: EstimatorCandidate) -> str:
    found = {}
    for kind, splits, model in candidate.cases():
        observed = Observed(model)
        try:
            evaluate(observed, splits.test, device=CPU)
        except PluginError as error:
            raise Violation(
                "targets from predict, and probabilities or scores", str(error), kind
            ) from (error)
        why = observed.choose_form()
        found[kind] = (observed.model.form or "values") + (f" ({why})" if why else "")
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return ", ".join(f"{kind}: {form}" for kind, form in found.items())


def _repeatable(candidate: EstimatorCandidate) -> None:
    for kind, splits, model in candidate.cases():
        x = splits.test.inputs
        first = model(x)
        if by := apart(first, model(x), rtol=0, atol=0):
            raise Violation("the same answers to the same inputs", f"they differ by {by}", kind)
        again = candidate.fitted(splits)
        again.form = model.form
        if by := apart(first, again(x)):
            raise Violation(
                "the same answers when it is fitted again with the same seed",
                f"they differ by {by}: pass the seed that build receives to everything that draws "
                "random numbers",
                kind,
            )


def _rows_apart(candidate: EstimatorCandidate) -> None:
    for kind, splits, model in candidate.cases():
        x = splits.test.inputs
        whole = model(x)
        for how, other in (
            ("one at a time", torch.cat([model(row) for row in torch.split(x, 1)])),
            ("in another order", model(x.flip(0)).flip(0)),
        ):
            if by := apart(whole, other):
                raise Violation(
                    "answers that do not depend on the batch",
                    f"for the same sequences {how}, the answers change by {by}",
                    kind,
                )


def _input_unchanged(candidate: EstimatorCandidate) -> None:
    for kind, splits, model in candidate.cases():
        x = splits.test.inputs.numpy().copy()
        before = x.copy()
        model.estimator.predict(x)
        if not np.array_equal(x, before):
            raise Violation("inputs that predict does not change", "it changed them", kind)


def _unequal(candidate: EstimatorCandidate) -> None:
    if candidate.choice.lengths == "fixed":
        raise Skipped("declared with lengths: fixed")
    for kind, task in candidate.tasks():
        splits = small_splits(task, unequal=True)
        try:
            evaluate(candidate.fitted(splits), splits.test, device=CPU)
        except Exception as error:
            raise Violation(
                "an estimator for lists of sequences of unequal length, or one declared with "
                'lengths="fixed"',
                reason_of(error),
                kind,
            ) from error


def _weights(candidate: EstimatorCandidate) -> str:
    _, task = next(candidate.tasks())
    splits = small_splits(task)
    train = splits.train
    assert isinstance(train, Split)
    weights = 0.5 + torch.arange(TRAIN_SIZE) % 2
    weighted = Split(task, train.inputs, train.targets, weights)
    try:
        candidate.fitted(PreparedSplits(task, weighted, splits.test))
    except NotApplicable as error:
        raise Skipped(str(error)) from error
    return "sample_weight"


def _learns(candidate: EstimatorCandidate) -> str:
    kind, splits, model = next(candidate.cases())
    task = splits.task
    found = evaluate(model, splits.test, device=CPU)
    plain = _of_constant(splits)
    better = found < plain if task.target_type == "value" else found > plain
    name = task.metric
    if not better:
        raise Violation(
            f"a better {name} than {plain:.3g}, which a constant answer has, on a tiny task",
            f"{found:.3g}",
            kind,
        )
    return f"{name} {found:.3g} on a tiny task, of a constant answer {plain:.3g}"


def _of_constant(splits: PreparedSplits) -> float:
    """The figure of a constant answer: the mean, or the most frequent target."""
    task, train = splits.task, splits.train
    assert isinstance(train, Split)
    targets = train.targets.float()
    if task.target == "label":
        constant = torch.nn.functional.one_hot(train.targets, CLASSES).float().mean(0)
    else:
        constant = targets.mean(0) - (0.5 if task.target == "labels" else 0.0)
    figure = TaskMetric(task)
    answers = constant.expand(TEST_SIZE, -1)
    figure.update(Answered(answers, splits.test.targets, None, splits.test.lengths))
    return figure.value


def _globals(candidate: EstimatorCandidate) -> str:
    return check_unchanged(candidate.before, candidate.choice)


#: The checks that others presuppose come before them.
ESTIMATOR_CHECKS = (
    Check("import", "its declaration imports no torch", _imports_no_torch),
    Check("fit", "it can be fitted for each declared kind of task", _fits, needed=True),
    Check("answer", "predict returns targets; what else it returns", _answers, needed=True),
    Check("repeatable", "the seed determines the answers", _repeatable),
    Check("rows", "sequences do not influence each other", _rows_apart, after=("repeatable",)),
    Check("input", "predict does not change its inputs", _input_unchanged),
    Check("unequal", "it takes sequences of unequal length, or says so", _unequal),
    Check("weights", "it takes weights of targets", _weights),
    Check("learns", "it is better than a constant answer on a tiny task", _learns),
    Check("globals", "the global state of the process is unchanged", _globals),
)
