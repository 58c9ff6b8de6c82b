"""Checks training settings as they apply: those of a suite, a dataset and a model, merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from seqbench.suite import optimizers
from seqbench.suite.keys import DatasetEntry, Entry, ModelEntry, Training
from seqbench.suite.optimizers import SCHEDULES
from seqbench.suite.strict_yaml import KeyPath
from seqbench.suite.tree import Tree

#: Keys that must be the same for all cases: the time between checkpoints has no effect on figures,
#: and a comparison must vary the same kind of seed for all.
OF_THE_SUITE = ("checkpoint", "init_seed", "data_seed")

#: Training settings at one level of a suite, with their path.
Level = tuple[KeyPath, Training]


@dataclass(frozen=True)
class Conflict:
    """Training settings that cannot be combined.

    Args:
        keys: those involved; the first is reported, if it was given where the conflict arises.
        below: a path below the first.
    """

    message: str
    keys: tuple[str, ...]
    below: KeyPath = ()


def conflicts(train: Training) -> Iterator[Conflict]:
    """Every conflict within complete training settings."""
    if train.evaluate_every is not None and train.steps is None:
        yield Conflict(
            "evaluate_every needs steps: with epochs, a model is evaluated after each",
            ("evaluate_every", "steps"),
        )
    if train.init_seed is not None and train.data_seed is not None:
        yield Conflict(
            "init_seed and data_seed are both given: then all seeds would give the same trial",
            ("init_seed", "data_seed"),
        )
    if train.init_seed is not None and (train.carry_state or not train.shuffle):
        key = "carry_state" if train.carry_state else "shuffle"
        yield Conflict(
            f"the order of the data does not depend on a seed with {key}, and init_seed is given: "
            "then all seeds would give the same trial",
            ("init_seed", key),
        )
    usual = {"batches": "bucketed", "drop_last": False, "shuffle": True}
    for key, value in usual.items():
        if train.carry_state and getattr(train, key) != value:
            yield Conflict(
                f"carry_state decides which sequences make a batch: leave out {key}",
                (key, "carry_state"),
            )
    if train.drop_last and train.batches == "one_length":
        yield Conflict(
            "batches: one_length cannot be combined with drop_last: true, which would leave out "
            "rare lengths",
            ("drop_last", "batches"),
        )
    yield from _of_methods(train)


def _of_methods(train: Training) -> Iterator[Conflict]:
    """The conflicts of optimizer and schedule."""
    schedule = train.schedule
    if schedule is not None:
        for name in optimizers.missing(schedule, SCHEDULES):
            message = f"{schedule.name} needs the parameter {name!r}"
            yield Conflict(message, ("schedule",), (schedule.name,))
        warmup = schedule.given.get("warmup", 0)
        if train.steps is not None and warmup > train.steps:
            yield Conflict(
                f"a warmup of {warmup:,} steps is longer than the training, which has "
                f"{train.steps:,}",
                ("schedule", "steps"),
                (schedule.name, "warmup"),
            )
    if conflict := optimizers.conflict(train.optimizer, schedule, train.groups):
        yield Conflict(conflict, ("optimizer", "groups", "schedule"))


def combinations_fit(train: Training, placed: Sequence[tuple[KeyPath, Entry]], tree: Tree) -> None:
    """Add the conflicts of all combinations of dataset and model to ``tree``, each at the most
    specific level that gives one of the settings.

    Args:
        train: that of the suite.
        placed: all valid entries, each with its path.
    """
    suite: Level = (("train",), train)
    for path, entry in placed:
        if isinstance(entry, (DatasetEntry, ModelEntry)):
            _only_of_the_suite((*path[:-1], "train"), entry.train, tree)
    models = _levels(
        (path, one) for path, one in placed if isinstance(one, ModelEntry) and not one.estimator
    )
    for dataset in _levels((path, one) for path, one in placed if isinstance(one, DatasetEntry)):
        merged = dataset[1].over(train)
        for model in models:
            for conflict in conflicts(model[1].over(merged)):
                _report(conflict, (model, dataset, suite), tree)


def _levels(entries: Iterable[tuple[KeyPath, DatasetEntry | ModelEntry]]) -> list[Level]:
    """The training settings of each entry that has any, and none once for all others; also if there
    is no entry.
    """
    found = [((*path[:-1], "train"), entry.train) for path, entry in entries]
    own = [level for level in found if level[1].model_fields_set]
    return own if found and len(own) == len(found) else [((), Training()), *own]


def _only_of_the_suite(path: KeyPath, train: Training, tree: Tree) -> None:
    for key in OF_THE_SUITE:
        if key in train.model_fields_set:
            message = "can only be set for the whole suite"
            tree.problem((*path, key), message, "write it in the suite's train")


def _report(conflict: Conflict, levels: Sequence[Level], tree: Tree) -> None:
    """Add a conflict to ``tree``.

    Args:
        levels: the most specific first.
    """
    for path, train in levels:
        given = [key for key in conflict.keys if key in train.model_fields_set]
        if given:
            below = conflict.below if given[0] == conflict.keys[0] else ()
            at_key = bool(below)
            tree.problem((*path, given[0], *below), conflict.message, at_key=at_key)
            return
