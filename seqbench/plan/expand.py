"""Expands a suite into cases and trials, with defaults filled in and labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

from seqbench.devices.registry import resolve_device
from seqbench.errors import UsageError
from seqbench.plan.cases import Case, Metric, Report, Resample, Runtime, Trial
from seqbench.plan.labels import (
    EntryLabel,
    dataset_labels,
    entry_labels,
    metric_label,
    model_labels,
    numbered,
)
from seqbench.plan.matching import Matching
from seqbench.plugins import provenance
from seqbench.plugins.choice import Choice, to_json
from seqbench.plugins.registry import Offer, Registry
from seqbench.records import FORMAT
from seqbench.suggest import suggested
from seqbench.suite import grids
from seqbench.suite.keys import RESAMPLED, DatasetEntry, Entry, Keep, ModelEntry, Suite
from seqbench.suite.runtimes import is_own, recorded_runtime
from seqbench.suite.target import SIGNS

Item = TypeVar("Item")

MAX_TRIALS = 1_000

#: Where estimators are fitted and timed, whatever the suite's devices.
ESTIMATOR_DEVICE = "cpu"

#: The limit with ``allow_many``: a plan is kept in memory and written as one file.
MOST_TRIALS = 1_000_000


@dataclass(frozen=True)
class Plan:
    """All cases and trials of a run.

    The trials of a case are consecutive, in the order of the seeds. ``runtimes`` are those of
    plugins.
    """

    suite: Suite
    cases: tuple[Case, ...]
    trials: tuple[Trial, ...]
    _: KW_ONLY
    metrics: tuple[Metric, ...] = ()
    reports: tuple[Report, ...] = ()
    runtimes: tuple[Runtime, ...] = ()

    def on(self, available: Mapping[str, str]) -> Plan:
        """The plan with ``auto`` and ``cuda`` replaced by the devices of a machine.

        Args:
            available: its devices, as :func:`.available_devices` returns them.
        """
        resolved = {
            case.id: dataclasses.replace(case, device=resolve_device(case.device, available))
            for case in self.cases
        }
        return self.with_cases([resolved[case.id] for case in self.cases])

    def with_cases(self, changed: Sequence[Case]) -> Plan:
        """The plan with its cases changed; those that are equal then are one.

        Args:
            changed: in the order of its cases.
        """
        cases: dict[str, Case] = {}
        for case in changed:  # auto may be cpu, and a width that is found that of another case
            cases.setdefault(case.id, case)
        of = {old.id: cases[new.id] for old, new in zip(self.cases, changed, strict=True)}
        trials = [Trial(of[trial.case.id], trial.seed) for trial in self.trials]
        return dataclasses.replace(
            self,
            cases=tuple(cases.values()),
            trials=tuple({trial.id: trial for trial in trials}.values()),
        )

    def metrics_of(self, case: Case) -> list[Metric]:
        """The metrics to compute on a case: the suite's, and those of its dataset's own."""
        return [metric for metric in self.metrics if metric.id not in case.metrics_left_out]

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data, as in ``plan.json``."""
        suite = self.suite
        runtimes = [to_json(runtime) for runtime in self.runtimes]
        margin = suite.margin.by_quantity()
        return {
            "format": FORMAT,
            "suite": suite.name,
            "notes": suite.notes,
            "measure": suite.measure.model_dump(mode="json"),
            "target": suite.target.to_dict() if suite.target else None,
            "metrics": [metric.to_dict() for metric in self.metrics],
            "reports": [to_json(report) for report in self.reports],
            **({"runtimes": runtimes} if runtimes else {}),
            **({"margin": margin} if margin else {}),
            "limits": suite.limits.model_dump(mode="json"),
            **({"keep": suite.keep.model_dump()} if suite.keep != Keep() else {}),
            "cases": [case.to_dict() for case in self.cases],
            "trials": [
                {"id": trial.id, "case": trial.case.id, "seed": trial.seed} for trial in self.trials
            ],
        }


def trial_count(suite: Suite, registry: Registry) -> int:
    """The number of trials that a suite expands to, without expanding it."""
    cases = _size(suite.datasets, registry.dataset) * _size(suite.models, registry.model)
    return cases * len(suite.devices) * len(suite.seeds)


def make_plan(
    suite: Suite,
    registry: Registry,
    *,
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    allow_many: bool = False,
) -> Plan:
    """Expand a suite.

    Args:
        models, datasets: only these, by name or label.
        allow_many: allow more than ``MAX_TRIALS`` trials.

    Raises:
        UsageError: too many trials, a filter that matches nothing, or two equal cases.
        UnknownName: the suite was validated with other plugins.
    """
    kept = _Kept(
        [number for number, entry in enumerate(suite.models) if _may_match(entry, models)],
        _matching(
            "dataset",
            range(len(suite.datasets)),
            datasets,
            lambda number: _names(suite.datasets[number].name, suite.datasets[number].label),
        ),
    )
    selected = kept.of(suite)
    _refuse_too_many(trial_count(selected, registry), selected, allow_many)
    every_name = [name for entry in suite.models for name in _names(entry.name, entry.label)]
    matching = _matching(
        "model",
        list(_expanded(suite, kept, registry)),
        models,
        lambda pair: [*_names(pair[0].name, pair[0].label), pair[1].label],
        every_name,
    )
    cases = tuple(case for _, case in matching)
    _refuse_equal(cases)
    if cases and all(case.misfit() for case in cases):
        raise UsageError(f"no model of this suite fits its datasets: {cases[0].misfit()}")
    return Plan(
        suite,
        cases,
        tuple(Trial(case, seed) for case in cases for seed in selected.seeds),
        metrics=_all_metrics(selected, registry),
        reports=_reports(suite, registry),
        runtimes=_runtimes(suite, registry),
    )


@dataclass(frozen=True)
class _Kept:
    """The entries of a suite that a filter leaves, by their position."""

    models: Sequence[int]
    datasets: Sequence[int]

    def of(self, suite: Suite) -> Suite:
        """The suite with these entries alone."""
        return suite.model_copy(
            update={
                "models": tuple(suite.models[number] for number in self.models),
                "datasets": tuple(suite.datasets[number] for number in self.datasets),
            }
        )


def _all_metrics(suite: Suite, registry: Registry) -> tuple[Metric, ...]:
    """The suite's metrics, then those of its datasets' own, each once."""
    own = [entry for dataset in suite.datasets for entry in dataset.metrics]
    found: dict[str, Metric] = {}
    for metric in (*_metrics(suite.metrics, registry), *_metrics(own, registry)):
        found.setdefault(metric.id, metric)
    return tuple(found.values())


def _metrics(entries: Iterable[Entry], registry: Registry) -> tuple[Metric, ...]:
    """The metrics as a plan has them."""
    return tuple(
        Metric(
            metric_label(name, choice.params), choice, tuple(spec.targets), spec.higher_is_better,
            spec.share, unit=spec.unit, needs=spec.needs,
        )
        for name, choice, spec in _choices_of(entries, registry)
    )  # fmt: skip


def _primary(entry: Entry | None, registry: Registry) -> Metric | None:
    """The metric that decides on the best epoch; None for the task's own."""
    if entry is None or entry.name in SIGNS:
        return None
    return _metrics([entry], registry)[0]


def _reports(suite: Suite, registry: Registry) -> tuple[Report, ...]:
    label = entry_labels(suite.reports, registry)
    return tuple(
        Report(label(name, choice.params), choice, spec.suffix)
        for name, choice, spec in _choices_of(suite.reports, registry)
    )


def _runtimes(suite: Suite, registry: Registry) -> tuple[Runtime, ...]:
    latency = suite.measure.latency
    runtimes = []
    for name in latency.runtimes if latency is not None else ():
        offer = recorded_runtime(name, registry)
        if not is_own(offer):
            source = provenance.source_of(offer.import_path, offer.origin.distribution)
            runtimes.append(Runtime(name, Choice.of(offer, {}, source)))
    return tuple(runtimes)


def _choices_of(entries: Iterable[Entry], registry: Registry) -> Iterator[tuple[str, Choice, Any]]:
    """For every metric or report: its name in the suite, its choice and its spec."""
    for entry in entries:
        offer = registry.look_up(entry.kind, entry.name)
        for choice in _choices(entry, offer):
            yield entry.name, choice, offer.spec


def _expanded(suite: Suite, kept: _Kept, registry: Registry) -> Iterator[tuple[ModelEntry, Case]]:
    """Every case with its entry; labels of models are unique per dataset and device."""
    every = [metric.id for metric in _all_metrics(kept.of(suite), registry)]
    shared = {metric.id for metric in _metrics(suite.metrics, registry)}
    # Read once: the origin of a model takes a while to find.
    choices = [
        (number, list(_choices(suite.models[number], registry.model(suite.models[number].name))))
        for number in kept.models
    ]
    models: dict[str, list[_Model]] = {}
    for entry, dataset, label, resample in _datasets(suite, kept, registry):
        own = shared | {metric.id for metric in _metrics(entry.metrics, registry)}
        primary = _primary(entry.primary_metric or suite.primary_metric, registry)
        computed = own - {primary.id} if primary else own
        left_out = tuple(metric for metric in every if metric not in computed)
        # Datasets that are trained alike share their models.
        alike = grids.key(entry.train.over(suite.train).resolved())
        if alike not in models:
            models[alike] = _models(suite, choices, registry, entry)
        for number, device in enumerate(suite.devices):
            for model in models[alike]:
                if model.choice.is_estimator and number:
                    continue  # it is on the CPU, once
                case = Case(
                    model.label,
                    model.choice,
                    dataset,
                    model.train,
                    device=ESTIMATOR_DEVICE if model.choice.is_estimator else device,
                    reference=model.entry.reference,
                    note=model.entry.note,
                    dataset_label=label,
                    supports=tuple(registry.model(model.entry.name).spec.tasks),
                    declares=tuple(registry.dataset(entry.name).spec.tasks),
                    metrics_left_out=left_out,
                    primary_metric=primary,
                    resample=resample,
                    matching=_matching_of(suite, model.entry, registry),
                )
                yield model.entry, case


def _matching_of(suite: Suite, entry: ModelEntry, registry: Registry) -> Matching | None:
    """The size that the cases of an entry are to have, if any."""
    if suite.match is None or not entry.scale:
        return None
    return Matching.of(suite.match.quantity, suite.match.wanted, registry.model(entry.name).spec)


@dataclass(frozen=True)
class _Model:
    """A model as it is trained on some datasets."""

    entry: ModelEntry
    choice: Choice
    label: str
    train: Mapping[str, Any]


def _models(
    suite: Suite,
    choices: Iterable[tuple[int, Sequence[Choice]]],
    registry: Registry,
    dataset: DatasetEntry,
) -> list[_Model]:
    """The models as they are trained on a dataset.

    Args:
        choices: positions in ``suite.models``, each with the model with all its parameters.
    """
    labels = model_labels(suite, registry, dataset)
    found = [
        _Model(entry, choice, labels[number](choice.params), train)
        for number, some in choices
        for entry in [suite.models[number]]
        for train in [suite.train_for(entry, dataset)]
        for choice in some
    ]
    unique = numbered([model.label for model in found])
    return [
        dataclasses.replace(model, label=label) for model, label in zip(found, unique, strict=True)
    ]


def _datasets(
    suite: Suite, kept: _Kept, registry: Registry
) -> Iterator[tuple[DatasetEntry, Choice, str, Resample | None]]:
    """The datasets with all their parameters, each with its entry, its own label, and whether it is
    a resample.
    """
    labels = dataset_labels(suite, registry)
    found = [
        (number, choice)
        for number in kept.datasets
        for entry in [suite.datasets[number]]
        for choice in _choices(entry, registry.dataset(entry.name))
    ]
    unique = numbered([labels[number](choice.params) for number, choice in found])
    resamples = _resamples(found, labels, suite, registry)
    for (number, choice), label, resample in zip(found, unique, resamples, strict=True):
        yield suite.datasets[number], choice, label, resample


def _resamples(
    found: Sequence[tuple[int, Choice]],
    labels: Sequence[EntryLabel],
    suite: Suite,
    registry: Registry,
) -> list[Resample | None]:
    """For each dataset whether it is a resample; those of one dataset share its label.

    Args:
        found: each with the position of its entry in the suite.
    """
    rows = [
        grids.key([number, {k: v for k, v in choice.params.items() if k != RESAMPLED}])
        for number, choice in found
    ]
    shared = {
        row: labels[number].without(RESAMPLED)(choice.params)
        for row, (number, choice) in zip(rows, found, strict=True)
    }
    unique = dict(zip(shared, numbered(list(shared.values())), strict=True))
    specs = [registry.dataset(suite.datasets[number].name).spec for number, _ in found]
    return [
        Resample(RESAMPLED, unique[row], spec.generated)
        if suite.repeats is not None and RESAMPLED in choice.params
        else None
        for row, spec, (_, choice) in zip(rows, specs, found, strict=True)
    ]


def _refuse_equal(cases: Iterable[Case]) -> None:
    """Refuse cases that differ in nothing but their labels: each is run once.

    Two entries of a dataset (or model) may be trained unlike with some models and alike with one
    whose own settings override what differs, which only the cases show.
    """
    known: dict[str, Case] = {}
    for case in cases:
        same = known.setdefault(case.id, case)
        if same is not case:
            raise UsageError(
                f"{case.name} is the same case as {same.name}: model, dataset and training "
                "settings are equal, since a model's train overrides a dataset's; change one of "
                "them, or remove an entry"
            )


def _choices(entry: Entry, offer: Offer[Any]) -> Iterator[Choice]:
    source = provenance.source_of(offer.import_path, offer.origin.distribution)
    for params in grids.combinations(grids.axes(entry.params, offer.spec.parameters)):
        yield Choice.of(offer, params, source)


def _size(entries: Iterable[Entry], look_up: Callable[[str], Offer[Any]]) -> int:
    return sum(grids.size(grids.axes(e.params, look_up(e.name).spec.parameters)) for e in entries)


def _refuse_too_many(count: int, suite: Suite, allow_many: bool) -> None:
    if count <= (MOST_TRIALS if allow_many else MAX_TRIALS):
        return
    cases = count // len(suite.seeds)
    message = (
        f"{suite.name} expands to {count:,} trials ({cases:,} cases × {len(suite.seeds):,} seeds)"
    )
    if count > MOST_TRIALS:
        raise UsageError(f"{message}, more than the maximum of {MOST_TRIALS:,}: reduce its grids")
    raise UsageError(f"{message}, more than {MAX_TRIALS:,}: pass --yes to confirm")


def _matching(
    kind: str,
    items: Sequence[Item],
    wanted: Sequence[Any],
    names: Callable[[Item], list[Any]],
    other_names: Iterable[str] = (),
) -> tuple[Item, ...]:
    """The items with a name in ``wanted``; all if it is empty.

    Args:
        names: returns the names of an item.
        other_names: further names to list in the error.

    Raises:
        UsageError: a name in ``wanted`` matches no item.
    """
    if not wanted:
        return tuple(items)
    known = dict.fromkeys(name for item in items for name in names(item))
    for name in wanted:
        if name not in known:
            available = [str(one) for one in dict.fromkeys([*other_names, *known])]
            message = f"this suite has no {kind} {str(name)!r}"
            raise UsageError(suggested(message, name, available))
    return tuple(item for item in items if not set(wanted).isdisjoint(names(item)))


def _names(name: str, label: str = "") -> list[str]:
    """The names of an entry: its name, with and without distribution, and its label."""
    return [each for each in (name, name.rpartition(":")[2], label) if each]


def _may_match(entry: ModelEntry, wanted: Sequence[str]) -> bool:
    """Whether ``wanted`` can name a case of ``entry``, which is not expanded yet; all if empty."""
    if not wanted:
        return True
    names = _names(entry.name, entry.label)
    return any(label in names or label.startswith(f"{name} ") for label in wanted for name in names)
