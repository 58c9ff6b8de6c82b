"""Labels of cases in tables: short, and different for different cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from seqbench.plugins.registry import Registry
from seqbench.suite import grids
from seqbench.suite.keys import DatasetEntry, Entry, ModelEntry, Suite
from seqbench.suite.optimizers import OPTIMIZERS
from seqbench.suite.target import SIGNS

Labelled = TypeVar("Labelled", DatasetEntry, ModelEntry)


@dataclass(frozen=True)
class EntryLabel:
    """Makes the labels of one entry's cases.

    Args:
        base: the entry's label or name.
        varying: the parameters to show.
        training: the training settings to show.
    """

    base: str
    varying: Sequence[str]
    training: str

    def without(self, parameter: str) -> EntryLabel:
        """The same without a parameter."""
        return replace(self, varying=[name for name in self.varying if name != parameter])

    def __call__(self, params: Mapping[str, Any]) -> str:
        """The label of the case with these parameters."""
        words = [self.base, *(f"{name}={as_text(params[name])}" for name in self.varying)]
        return " ".join(filter(None, [*words, self.training]))


def model_labels(
    suite: Suite, registry: Registry, dataset: DatasetEntry | None = None
) -> list[EntryLabel]:
    """The labels of each entry of ``suite.models`` on a dataset, in their order.

    A label is the entry's own, or else its model's name with the parameters that vary among the
    suite's entries with that name. If two entries still had equal labels, the training settings in
    which they differ are added.
    """
    labels = _labels(suite.models, registry, lambda model: suite.train_for(model, dataset))
    # A width that is not solved yet is no value to show.
    return [label.without(entry.scale) for label, entry in zip(labels, suite.models, strict=True)]


def dataset_labels(suite: Suite, registry: Registry) -> list[EntryLabel]:
    """The labels of each entry of ``suite.datasets``, made like those of models.

    A primary metric in which two entries differ is added like a training setting, unless it is the
    task's own.
    """

    def settings(dataset: DatasetEntry) -> dict[str, Any]:
        train = dataset.train.over(suite.train).resolved()
        metric = dataset.primary_metric or suite.primary_metric
        if metric is None or metric.name in SIGNS:
            return train
        declared = registry.look_up("metric", metric.name).spec.parameters
        (params,) = grids.combinations(grids.axes(metric.params, declared))
        return {**train, "primary_metric": metric_label(metric.name, params)}

    return _labels(suite.datasets, registry, settings)


def metric_label(name: str, params: Mapping[str, Any]) -> str:
    """The name of a metric with all its parameters, which its figures depend on."""
    return " ".join([name, *(f"{key}={as_text(value)}" for key, value in params.items())])


def _labels(
    entries: Sequence[Labelled], registry: Registry, train: Callable[[Labelled], dict[str, Any]]
) -> list[EntryLabel]:
    """The label of each entry. ``train``: returns the settings by which an entry is trained."""
    keys = [
        grids.keys(
            grids.axes(entry.params, registry.look_up(entry.kind, entry.name).spec.parameters)
        )
        for entry in entries
    ]
    groups: dict[str, list[int]] = {}
    for position, entry in enumerate(entries):
        groups.setdefault(entry.label or entry.name, []).append(position)
    labels: dict[int, EntryLabel] = {}
    for base, group in groups.items():
        shared = _varying([keys[position] for position in group if not entries[position].label])
        alike = _alike({position: keys[position] for position in group})
        words = training_differences([train(entries[position]) for position in alike])
        training = dict(zip(alike, words, strict=True))
        for position in group:
            varying = _varying([keys[position]]) if entries[position].label else shared
            labels[position] = EntryLabel(base, varying, training.get(position, ""))
    return [labels[position] for position in range(len(entries))]


def _alike(group: Mapping[int, grids.Keys]) -> list[int]:
    """The entries that have a combination in common with another, by their position."""
    return [
        position
        for position, keys in group.items()
        if any(
            position != other and keys.keys() == others.keys() and grids.overlap(keys, others)
            for other, others in group.items()
        )
    ]


def entry_labels(
    entries: Iterable[Entry], registry: Registry
) -> Callable[[str, Mapping[str, Any]], str]:
    """Labels for reports: the name, with the parameters that vary among its entries."""
    groups: dict[str, list[grids.Keys]] = {}
    for entry in entries:
        axes = grids.axes(entry.params, registry.look_up(entry.kind, entry.name).spec.parameters)
        groups.setdefault(entry.name, []).append(grids.keys(axes))
    varying = {name: _varying(group) for name, group in groups.items()}

    def label(name: str, params: Mapping[str, Any]) -> str:
        return " ".join([name, *(f"{key}={as_text(params[key])}" for key in varying[name])])

    return label


def training_differences(settings: Sequence[dict[str, Any]]) -> list[str]:
    """The differences between training settings, one text for each, as in ``sgd lr=0.01``."""
    flat = [_flat(train) for train in settings]
    names = dict.fromkeys(name for values in flat for name in values)
    different = [n for n in names if len({grids.key(values.get(n)) for values in flat}) > 1]
    texts = []
    for values in flat:
        own = OPTIMIZERS.get(values["optimizer"])  # None: of a plugin
        defaults = own.parameters if own else {}
        words = []
        for name in different:
            # If the optimizers differ, their defaults need not be shown.
            implied = "optimizer" in different and name in defaults
            if name not in values or (implied and values[name] == as_list(defaults[name].default)):
                continue
            # As in a suite, and not as the pairs that settings hold.
            value = as_text(dict(values[name]) if name == "groups" else values[name])
            words.append(value if name == "optimizer" else f"{name}={value}")
        texts.append(" ".join(words))
    return texts


def numbered(labels: Sequence[str]) -> list[str]:
    """The labels, with ``(2)``, ``(3)``, … appended to repeated ones."""
    taken: set[str] = set()
    unique = []
    for label in labels:
        name, number = label, 1
        while name in taken:
            number += 1
            name = f"{label} ({number})"
        taken.add(name)
        unique.append(name)
    return unique


def as_text(value: Any) -> str:
    """A parameter's value as in a suite, as one short line."""
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
    """Training settings as a flat mapping: ``optimizer``, its parameters, ``schedule``, …"""
    optimizer, schedule = settings["optimizer"], settings["schedule"]
    rest = {k: v for k, v in settings.items() if k not in ("optimizer", "schedule")}
    flat = {"optimizer": optimizer["name"], **optimizer["params"], **rest}
    flat["schedule"] = schedule["name"] if schedule else None
    for name, value in (schedule["params"] if schedule else {}).items():
        flat[f"{schedule['name']}.{name}"] = value
    return flat
