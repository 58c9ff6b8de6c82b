"""Checks what a suite says of seeds: ``seeds: {init: …, data: …}``, and ``repeats``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from seqbench.plugins.registry import Registry
from seqbench.suggest import suggested
from seqbench.suite.keys import RESAMPLED, DatasetEntry, Entry, Suite
from seqbench.suite.messages import in_words
from seqbench.suite.seed_kinds import SEEDED, varied_kind
from seqbench.suite.strict_yaml import KeyPath, shown
from seqbench.suite.tree import Tree
from seqbench.suite.values import Seeds


def hold_seed(raw: dict[str, Any], tree: Tree) -> None:
    """Replace ``seeds: {init: …, data: …}`` by the seeds that vary; the other kind of seed is a
    setting of the training.

    Args:
        raw: the suite as plain data.
    """
    given, path = raw.pop("seeds"), ("seeds",)
    for name in given:
        if name not in SEEDED:
            message = suggested(f"unknown key {shown(name)}", name, SEEDED)
            tree.problem((*path, name), message, at_key=True)
    if set(given) != set(SEEDED):
        tree.problem(path, "needs the keys init and data", "as in {init: 5, data: [0]}")
        return
    found = _each(given, tree)
    if found is None:
        return
    varied = varied_kind(given)
    (held,) = set(SEEDED) - {varied}
    if len(found[held]) > 1:
        tree.problem(
            path,
            "init and data both have several seeds: only one kind can vary in a run, since "
            "trials that share a seed are not independent",
            "as in {init: 5, data: [0]}",
        )
        return
    train, key = raw.get("train", {}), f"{held}_seed"
    if isinstance(train, dict):
        if train.get(key) is not None:
            tree.problem(("train", key), f"seeds.{held} is also given: leave one out")
        raw |= {"train": {**train, key: found[held][0]}, "seeds": found[varied]}


def _each(given: Mapping[str, Any], tree: Tree) -> dict[str, tuple[int, ...]] | None:
    """The seeds of each kind, or None after adding a problem."""
    found: dict[str, tuple[int, ...]] = {}
    for name in SEEDED:
        try:
            found[name] = TypeAdapter(Seeds).validate_python(given[name])
        except ValidationError as error:
            details = error.errors(include_url=False)[0]
            tree.problem(("seeds", name, *details["loc"]), *in_words(details, Suite))
            return None
    return found


def repeats_fit(placed: Sequence[tuple[KeyPath, Entry]], tree: Tree, registry: Registry) -> None:
    """Check that there are resamples of each dataset that has a seed of its own.

    Args:
        placed: all valid entries, each with its path.
    """
    entries = [each for each in placed if isinstance(each[1], DatasetEntry)]
    resampled = False
    for path, entry in entries:
        if RESAMPLED not in registry.look_up(entry.kind, entry.name).spec.parameters:
            continue
        resampled = True
        given = entry.params.get(RESAMPLED)
        if not isinstance(given, list) or len(given) < 2:
            tree.problem(
                (*path, RESAMPLED) if RESAMPLED in entry.params else path,
                "repeats: dataset.seed pools at least two values of this dataset's seed",
                f"as in {entry.name}: {{{RESAMPLED}: [0, 1, 2]}}",
            )
    if entries and not resampled:
        names = list(dict.fromkeys(entry.name for _, entry in entries))
        tree.problem(
            ("repeats",),
            f"no dataset has a parameter {RESAMPLED!r} of its own: {', '.join(names)}",
            "seeds of the training: the key seeds",
        )
