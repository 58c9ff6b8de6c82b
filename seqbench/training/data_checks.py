"""Validation of a loaded dataset against its Task."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import torch

from seqbench.plugins.choice import Choice
from seqbench.training.fresh import FreshSplit, is_own
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Split, TestSet
from seqbench.training.split_checks import Flaw, checked_split, joined
from seqbench.types import IMPORT_PATH, TARGETS, Fresh, Splits, Task

#: Sequences that are drawn of :class:`seqbench.Fresh` to check them.
DRAWN = 4


def checked_splits(loaded: Any, choice: Choice) -> PreparedSplits:
    """Validate a loaded dataset and return its splits as they are stored.

    Args:
        loaded: what the plugin's function returned.
        choice: the dataset.

    Raises:
        Flaw: the dataset does not match its task.
    """
    if not isinstance(loaded, Splits):
        raise Flaw(f"load returned {type(loaded).__name__}, not seqbench.Splits")
    task = loaded.task
    _check_task(task)
    train: Split | FreshSplit
    if isinstance(loaded.train, Fresh):
        train = _checked_fresh(loaded.train, task, choice)
    else:
        train = checked_split(loaded.train, task, "train")
    test = _test_of(loaded)
    validation = None
    if loaded.validation is not None:
        validation = checked_split(loaded.validation, task, "validation")
    splits = PreparedSplits(task, train, test, validation)
    longest = max(int(split.lengths.max()) for split in splits.stored.values())
    fresh = isinstance(train, FreshSplit)
    if longest > task.length or (longest < task.length and not fresh):
        raise Flaw(f"the longest sequence has {longest} steps, but task.length is {task.length}")
    return splits


def _test_of(loaded: Splits) -> Split:
    """The test split; of several test sets, one split with all their sequences."""
    if not isinstance(loaded.tests, Mapping):
        raise Flaw(f"tests is {type(loaded.tests).__name__}, not a dictionary of test sets")
    if not isinstance(loaded.headline, str):
        raise Flaw(f"headline is {loaded.headline!r}, not the name of a test set")
    if not loaded.tests:
        if loaded.headline:
            raise Flaw(f"headline is {loaded.headline!r}, but there are no `tests`")
        if loaded.test is None:
            raise Flaw("there is no test split: give `test`, or several test sets as `tests`")
        return checked_split(loaded.test, loaded.task, "test")
    if loaded.test is not None:
        raise Flaw("both `test` and `tests` are given: put that test set into `tests`, too")
    names = list(loaded.tests)
    for name in names:
        if not isinstance(name, str) or not name.isprintable() or name.strip() != name or not name:
            raise Flaw(
                f"the name {name!r} of a test set is not a printable text without spaces around it"
            )
    if loaded.headline and loaded.headline not in names:
        raise Flaw(f"headline is {loaded.headline!r}, not one of `tests`: {', '.join(names)}")
    parts = [checked_split(loaded.tests[name], loaded.task, f"tests[{name!r}]") for name in names]
    sets = tuple(TestSet(name, len(part)) for name, part in zip(names, parts, strict=True))
    return dataclasses.replace(joined(parts), sets=sets, headline=loaded.headline)


def _checked_fresh(fresh: Fresh, task: Task, choice: Choice) -> FreshSplit:
    """Validate fresh training sequences, of which a few are drawn."""
    if not isinstance(fresh.draw, str) or not IMPORT_PATH.fullmatch(fresh.draw):
        raise Flaw(f"train.draw is {fresh.draw!r}, not of the form 'package.module:function'")
    if not is_own(fresh.draw, choice):
        raise Flaw(f"train.draw is {fresh.draw!r}, not of the package of {choice.import_path!r}")
    for name, least in (("size", 1), ("seed", 0)):
        value = getattr(fresh, name)
        if type(value) is not int or value < least:
            raise Flaw(f"train.{name} is {value!r}, not an integer of at least {least}")
    try:
        parameters = json.loads(json.dumps(dict(fresh.parameters), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise Flaw(f"train.parameters is not plain data: {error}") from None
    split = FreshSplit(
        task, choice, fresh.draw, parameters=parameters, size=fresh.size, seed=fresh.seed
    )
    one, again = (split.drawn(0, 1, DRAWN).tensors() for _ in range(2))
    if one.keys() != again.keys() or any(not torch.equal(one[key], again[key]) for key in one):
        raise Flaw("train draws other sequences for the same seed: it must be a pure function")
    return split


def _check_task(task: Any) -> None:
    if not isinstance(task, Task):
        raise Flaw(f"task is {type(task).__name__}, not seqbench.Task")
    if task.input not in ("features", "tokens"):
        raise Flaw(f"task.input is {task.input!r}, not 'features' or 'tokens'")
    if task.target not in TARGETS:
        known = ", ".join(map(repr, TARGETS[:-1]))
        raise Flaw(f"task.target is {task.target!r}, not {known} or {TARGETS[-1]!r}")
    for name in ("input_size", "output_size", "length"):
        value = getattr(task, name)
        if type(value) is not int or value < 1:
            raise Flaw(f"task.{name} is {value!r}, not an integer of at least 1")
    names = task.class_names
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        raise Flaw("task.class_names is not a tuple of strings")
    if names and len(names) != task.output_size:
        raise Flaw(f"task.class_names has {len(names)} names for {task.output_size} classes")
    if type(task.causal) is not bool:
        raise Flaw(f"task.causal is {task.causal!r}, not True or False")
    if task.causal and not task.per_step:
        raise Flaw(
            f"task.causal is True, but task.target is {task.target!r}: only answers at each step "
            "can be causal; leave it out"
        )
