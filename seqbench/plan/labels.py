"""What tables call a case: short, and different for different cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from seqbench.plugins.registry import Registry
from seqbench.suite import grids
from seqbench.suite.keys import Entry, ModelEntry, Suite
from seqbench.suite.optimizers import OPTIMIZERS


class Labels:
    """Makes labels for the cases of one suite.

    A label is what the entry says, or else its model's name with the parameters that vary among
    this suite's entries of that name. Where two entries would still read alike, the training
    settings in which they differ are added.
    """

    def __init__(self, suite: Suite, registry: Registry):
        self._prefix: dict[int, tuple[str, list[str]]] = {}
        self._suffix: dict[int, str] = {}
        groups: dict[str, list[tuple[ModelEntry, grids.Keys]]] = {}
        for entry in suite.models:
            axes = grids.axes(entry.params, registry.model(entry.name).spec.parameters)
            groups.setdefault(entry.label or entry.name, []).append((entry, grids.keys(axes)))
        for base, group in groups.items():
            shared = _varying([keys for entry, keys in group if not entry.label])
            for entry, keys in group:
                own = _varying([keys]) if entry.label else shared
                self._prefix[id(entry)] = (base, own)
            self._tell_apart(suite, group)

    def __call__(self, entry: ModelEntry, params: Mapping[str, Any]) -> str:
        """The label of a case: an entry of the suite with one combination of its parameters."""
        base, varying = self._prefix[id(entry)]
        words = [base, *(f"{name}={as_text(params[name])}" for name in varying)]
        return " ".join(filter(None, [*words, self._suffix.get(id(entry), "")]))

    def _tell_apart(self, suite: Suite, group: list[tuple[ModelEntry, grids.Keys]]) -> None:
        alike = [
            entry
            for entry, keys in group
            if any(
                entry is not other and keys.keys() == others.keys() and grids.overlap(keys, others)
                for other, others in group
            )
        ]
        suffixes = training_differences([suite.train_for(entry) for entry in alike])
        for entry, suffix in zip(alike, suffixes, strict=True):
            self._suffix[id(entry)] = suffix


def entry_labels(
    entries: Iterable[Entry], registry: Registry
) -> Callable[[str, Mapping[str, Any]], str]:
    """Labels for datasets or reports: the name, with the parameters that vary among those of it."""
    groups: dict[str, list[grids.Keys]] = {}
    for entry in entries:
        axes = grids.axes(entry.params, registry.look_up(entry.kind, entry.name).spec.parameters)
        groups.setdefault(entry.name, []).append(grids.keys(axes))
    varying = {name: _varying(group) for name, group in groups.items()}

    def label(name: str, params: Mapping[str, Any]) -> str:
        return " ".join([name, *(f"{one}={as_text(params[one])}" for one in varying[name])])

    return label


def training_differences(settings: Sequence[dict[str, Any]]) -> list[str]:
    """For each of some training settings, those in which they differ, as ``sgd lr=0.01``."""
    flat = [_flat(one) for one in settings]
    names = dict.fromkeys(name for one in flat for name in one)
    different = [n for n in names if len({grids.key(one.get(n)) for one in flat}) > 1]
    found = []
    for one, setting in zip(flat, settings, strict=True):
        defaults = OPTIMIZERS[setting["optimizer"]["name"]].parameters
        words = []
        for name in different:
            # Beside another optimizer, its defaults say nothing that its name does not.
            usual = "optimizer" in different and name in defaults
            if name not in one or (usual and one[name] == as_list(defaults[name].default)):
                continue
            value = as_text(one[name])
            words.append(value if name == "optimizer" else f"{name}={value}")
        found.append(" ".join(words))
    return found


def numbered(labels: Sequence[str]) -> list[str]:
    """The labels, with ``(2)``, ``(3)`` … after those that stand there already."""
    taken: set[str] = set()
    found = []
    for label in labels:
        name, number = label, 1
        while name in taken:
            number += 1
            name = f"{label} ({number})"
        taken.add(name)
        found.append(name)
    return found


def as_text(value: Any) -> str:
    """A parameter's value as in a suite, on one short line."""
    text = value if isinstance(value, str) and value.isprintable() else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _varying(group: list[grids.Keys]) -> list[str]:
    """The parameters that take more than one value in a group of entries of one model."""
    values: dict[str, set[str]] = {}
    for keys in group:
        for name, some in keys.items():
            values.setdefault(name, set()).update(some)
    return [name for name, some in values.items() if len(some) > 1]


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Training settings as one level: ``optimizer``, its parameters, ``epochs``, ``schedule`` …"""
    optimizer, schedule = settings["optimizer"], settings["schedule"]
    rest = {k: v for k, v in settings.items() if k not in ("optimizer", "schedule")}
    flat = {"optimizer": optimizer["name"], **optimizer["params"], **rest}
    flat["schedule"] = schedule["name"] if schedule else None
    for name, value in (schedule["params"] if schedule else {}).items():
        flat[f"{schedule['name']}.{name}"] = value
    return flat
