"""The checks of metric plugins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from seqbench.errors import PluginError, reason_of
from seqbench.plugins.choice import Choice
from seqbench.testing.plugin_checks.candidate import FEATURES, LENGTH
from seqbench.testing.plugin_checks.declaring import declares_lightly
from seqbench.testing.plugin_checks.process_state import (
    GLOBALS_UNCHANGED,
    ProcessState,
    check_unchanged,
    random_states,
)
from seqbench.testing.plugin_checks.results import Check, Violation, Warned
from seqbench.training.evaluation import Answered
from seqbench.training.plugin_metric import PluginMeter
from seqbench.training.split import Split
from seqbench.types import Task

#: The output sizes to try; a metric needs to support one of them, for example two classes.
SIZES = {"label": (6, 2), "labels": (6, 2), "value": (3, 1)}

#: Number of sequences. A metric over groups of rows would give other figures for other batches.
ROWS = 60

#: A seed that no metric is likely to set.
RESEEDED = 20_873

#: Tolerance for figures that were summed in another order (fp32).
CLOSE = {"rel_tol": 1e-4, "abs_tol": 1e-6}

Answers = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class MetricCandidate:
    """A metric to check.

    Args:
        choice: the metric with all its parameters.
        targets: the kinds of target that it declares.
        share: whether it declares to be a fraction.
        higher_is_better: the direction that it declares.
    """

    choice: Choice
    targets: Sequence[str]
    share: bool
    higher_is_better: bool

    @cached_property
    def before(self) -> ProcessState:
        """The state of the process before any of the plugin's code ran."""
        return ProcessState.now()

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """For each kind of target, the tasks that the metric gives a figure for.

        Raises:
            Violation: none for a kind that it declares.
        """
        return tuple(task for target in self.targets for task in self._tasks_for(target))

    def _tasks_for(self, target: str) -> Iterator[Task]:
        refused = []
        for size in SIZES[target.removesuffix("_per_step")]:
            task = Task("features", FEATURES, target, size, LENGTH)  # type: ignore[arg-type]
            try:
                self.figure(task, sample(task))
            except Exception as error:
                refused.append(f"with {size} {_outputs(target)}: {reason_of(error)}")
            else:
                yield task
        if len(refused) == len(SIZES[target.removesuffix("_per_step")]):
            raise Violation(f"one finite number for targets of kind {target!r}", refused[0])

    def figure(self, task: Task, answers: Answers, batches: Sequence[int] = ()) -> float:
        """What a run reports for these answers and targets.

        Args:
            batches: the first row of each batch after the first.
        """
        _ = self.before
        trained_on = sample(task, seed=2)[1]
        train = Split(task, torch.zeros(ROWS, LENGTH, FEATURES), trained_on)
        meter = PluginMeter(self.choice, task, train)
        parts = [torch.tensor_split(tensor, list(batches)) for tensor in answers]
        for logits, targets in zip(*parts, strict=True):
            rows = targets.flatten(0, 1) if task.per_step else targets
            lengths = torch.full((len(targets),), LENGTH)
            meter.update(Answered(logits.flatten(0, -2), rows, None, lengths))
        return meter.value


def sample(task: Task, seed: int = 0) -> Answers:
    """Random answers and targets, shaped as the task says; every class occurs."""
    draw = torch.Generator().manual_seed(seed)
    shape = (ROWS, LENGTH) if task.per_step else (ROWS,)
    if task.target_type == "value":
        targets = 1 + torch.rand(*shape, task.output_size, generator=draw)
        return targets + 0.5 * torch.rand(targets.shape, generator=draw), targets
    if task.target_type == "labels":
        targets = torch.randint(0, 2, (*shape, task.output_size), generator=draw)
        return 2 * torch.randn(*shape, task.output_size, generator=draw), targets
    labels = torch.arange(math.prod(shape)) % task.output_size
    labels = labels[torch.randperm(len(labels), generator=draw)].view(shape)
    return 2 * torch.randn(*shape, task.output_size, generator=draw), labels


def _imports_no_torch(candidate: MetricCandidate) -> None:
    declares_lightly(candidate.choice)


def _gives_a_number(candidate: MetricCandidate) -> str:
    found = {}
    for task in candidate.tasks:
        value = candidate.figure(task, sample(task))
        found[f"{task.target}, {task.output_size} {_outputs(task.target)}"] = value
        if candidate.share and not 0 <= value <= 1:
            raise Violation("a number from 0 to 1 (share=True)", f"{value:g}", _named(task))
    return "; ".join(f"{what}: {value:.3g}" for what, value in found.items())


def _repeatable(candidate: MetricCandidate) -> None:
    for task in candidate.tasks:
        torch.manual_seed(0)
        first = candidate.figure(task, sample(task))
        candidate.figure(task, sample(task, seed=1))
        torch.manual_seed(1)
        again = candidate.figure(task, sample(task))
        if again != first:
            raise Violation(
                "the same number for the same answers",
                f"{first:.6g}, and {again:.6g} after another model was scored: it is random, or "
                "an object keeps what another one counted",
                _named(task),
            )


def _batches(candidate: MetricCandidate) -> None:
    for task in candidate.tasks:
        whole = candidate.figure(task, sample(task))
        for batches in ((20, 40), (1, 31), (ROWS - 1,)):
            parts = candidate.figure(task, sample(task), batches)
            if not math.isclose(whole, parts, **CLOSE):
                sizes = [b - a for a, b in zip((0, *batches), (*batches, ROWS), strict=True)]
                raise Violation(
                    "a number that does not depend on the batches",
                    f"{whole:.6g} for all {ROWS} rows at once, {parts:.6g} for batches of "
                    f"{', '.join(map(str, sizes))}: sum in `update`, divide in `compute`",
                    _named(task),
                )


def _order(candidate: MetricCandidate) -> None:
    for task in candidate.tasks:
        answers, targets = sample(task)
        order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(1))
        found = candidate.figure(task, (answers, targets))
        mixed = candidate.figure(task, (answers[order], targets[order]))
        if not math.isclose(found, mixed, **CLOSE):
            raise Violation(
                "a number that does not depend on the order of the sequences",
                f"{found:.6g}, and {mixed:.6g} in another order",
                _named(task),
            )


def _direction(candidate: MetricCandidate) -> str:
    """Perfect answers are not worse than random ones, in the declared direction."""
    found = ""
    for task in candidate.tasks:
        random, targets = sample(task)
        classes = torch.arange(task.output_size)
        perfect = targets if task.target_type == "value" else 40.0 * targets - 20.0
        if task.target_type == "label":
            perfect = 20.0 * (targets[..., None] == classes)
        try:
            good, bad = (candidate.figure(task, (a, targets)) for a in (perfect, random))
        except PluginError:  # some figures are not defined for perfect answers
            continue
        found = found or f"{good:.3g} if perfect, {bad:.3g} if random"
        if good != bad and (good > bad) != candidate.higher_is_better:
            raise Warned(
                f"perfect answers give {good:.3g} and random ones {bad:.3g}, but it declares "
                f"higher_is_better={candidate.higher_is_better} ({_named(task)})"
            )
    return found


def _missing_class(candidate: MetricCandidate) -> None:
    for task in candidate.tasks:
        if task.target_type == "value":
            continue
        answers, targets = sample(task)
        if task.target_type == "labels":
            rare = targets * (torch.arange(task.output_size) < task.output_size - 1)
        else:
            rare = targets.clamp(max=task.output_size - 2)
        try:
            candidate.figure(task, (answers, rare))
        except Exception as error:
            raise Warned(
                f"no number if a class has no test sequence: {reason_of(error)} ({_named(task)})"
            ) from error


def _globals(candidate: MetricCandidate) -> None:
    for task in candidate.tasks:
        torch.manual_seed(RESEEDED)  # earlier calls may have left the plugin's own seed
        before, state = random_states(), torch.get_rng_state()
        candidate.figure(task, sample(task))
        changed = [name for name, was in before.items() if random_states()[name] != was]
        if not torch.equal(state, torch.get_rng_state()):
            changed.append("the state of torch's random")
        if changed:
            raise Violation(GLOBALS_UNCHANGED, f"changed: {', '.join(changed)}", _named(task))
    if remark := check_unchanged(candidate.before, candidate.choice):
        raise Warned(remark)


def _outputs(target: str) -> str:
    return "outputs" if target.startswith("value") else "classes"


def _named(task: Task) -> str:
    return f"targets {task.target!r}, {task.output_size} {_outputs(task.target)}, {ROWS} rows"


METRIC_CHECKS = (
    Check("import", "its declaration imports no torch", _imports_no_torch),
    Check("number", "it gives one finite number for each declared kind of target",
          _gives_a_number, needed=True),
    Check("repeatable", "the same answers give the same number", _repeatable),
    Check("batches", "the number does not depend on the batches", _batches,
          after=("repeatable",)),
    Check("order", "the number does not depend on the order", _order,
          after=("repeatable", "batches")),
    Check("direction", "perfect answers are not worse than random ones", _direction,
          after=("repeatable",)),
    Check("classes", "a class without test sequences is allowed", _missing_class),
    Check("globals", "the global state of the process is unchanged", _globals,
          after=("repeatable",)),
)  # fmt: skip
