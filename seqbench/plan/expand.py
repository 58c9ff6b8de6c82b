"""Suite × plugins → trials: grids expanded, defaults filled in, cases labelled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from seqbench.devices.registry import resolve_device
from seqbench.errors import UsageError
from seqbench.plan.cases import Case, Metric, Report, Runtime, Trial
from seqbench.plan.labels import Labels, as_text, entry_labels, numbered
from seqbench.plugins import provenance
from seqbench.plugins.choice import Choice
from seqbench.plugins.parameters import nearest
from seqbench.plugins.registry import Offer, Registry
from seqbench.records import FORMAT
from seqbench.suite import grids
from seqbench.suite.keys import Entry, ModelEntry, Suite
from seqbench.suite.runtimes import is_own, recorded_runtime

Item = TypeVar("Item")

MAX_TRIALS = 1_000

#: Not even ``allow_many`` goes beyond: a plan is held in memory and written as one file.
MOST_TRIALS = 1_000_000

#: A message lists so many names.
MAX_NAMED = 20


@dataclass(frozen=True)
class Plan:
    """What a run does. The trials of a case stand together, in the order of the seeds.

    ``runtimes`` are those that come from plugins.
    """

    suite: Suite
    cases: tuple[Case, ...]
    trials: tuple[Trial, ...]
    metrics: tuple[Metric, ...] = ()
    reports: tuple[Report, ...] = ()
    runtimes: tuple[Runtime, ...] = ()

    def on(self, available: Mapping[str, str]) -> Plan:
        """The plan with the devices that ``auto`` and ``cuda`` stand for on a machine.

        Args:
            available: its devices, as :func:`.available_devices` returns them.
        """
        resolved = {
            case.id: dataclasses.replace(case, device=resolve_device(case.device, available))
            for case in self.cases
        }
        cases = {case.id: case for case in resolved.values()}  # auto and cpu may be the same
        trials = [Trial(cases[resolved[t.case.id].id], t.seed) for t in self.trials]
        return dataclasses.replace(
            self,
            cases=tuple(cases.values()),
            trials=tuple({trial.id: trial for trial in trials}.values()),
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data: what ``plan.json`` holds."""
        suite = self.suite
        runtimes = [dataclasses.asdict(runtime) for runtime in self.runtimes]
        return {
            "format": FORMAT,
            "suite": suite.name,
            "notes": suite.notes,
            "measure": suite.measure.model_dump(mode="json"),
            "target": dataclasses.asdict(suite.target) if suite.target else None,
            "metrics": [{"id": m.id, **dataclasses.asdict(m)} for m in self.metrics],
            "reports": [dataclasses.asdict(report) for report in self.reports],
            **({"runtimes": runtimes} if runtimes else {}),
            "limits": suite.limits.model_dump(mode="json"),
            "cases": [{"id": case.id, **dataclasses.asdict(case)} for case in self.cases],
            "trials": [
                {"id": trial.id, "case": trial.case.id, "seed": trial.seed} for trial in self.trials
            ],
        }


def trial_count(suite: Suite, registry: Registry) -> int:
    """How many trials the suite expands to; counted without making them."""
    cases = _size(suite.datasets, registry.dataset) * _size(suite.models, registry.model)
    return cases * len(suite.devices) * len(suite.seeds)


def make_plan(
    suite: Suite,
    registry: Registry,
    *,
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    seeds: Sequence[int] = (),
    allow_many: bool = False,
) -> Plan:
    """Expands a suite.

    Args:
        models: only these, by name or label.
        datasets, seeds: only these.
        allow_many: plan more than ``MAX_TRIALS`` trials.

    Raises:
        UsageError: too many trials, or a filter that matches nothing.
        UnknownName: the suite was checked against other plugins.
    """
    keep = [entry for entry in suite.models if not models or _may_match(entry, models)]
    chosen = suite.model_copy(
        update={
            "models": tuple(keep),
            "datasets": _matching("dataset", suite.datasets, datasets, lambda e: _names(e.name)),
            "seeds": _matching("seed", suite.seeds, seeds, lambda seed: [seed]),
        }
    )
    _check_count(trial_count(chosen, registry), chosen, allow_many)
    expanded = list(_expanded(chosen, registry, Labels(suite, registry)))
    there = [name for entry in suite.models for name in _names(entry.name, entry.label)]
    found = _matching(
        "model", expanded, models, lambda f: [*_names(f[0].name, f[0].label), f[1].label], there
    )
    cases = tuple(case for _, case in found)
    trials = tuple(Trial(case, seed) for case in cases for seed in chosen.seeds)
    return Plan(
        suite, cases, trials, _metrics(suite, registry), _reports(suite, registry),
        _runtimes(suite, registry),
    )  # fmt: skip


def _metrics(suite: Suite, registry: Registry) -> tuple[Metric, ...]:
    """Each is labelled with all its parameters: without them a figure says nothing."""
    return tuple(
        Metric(
            " ".join([name, *(f"{key}={as_text(value)}" for key, value in choice.params.items())]),
            choice, tuple(spec.targets), spec.higher_is_better, spec.share,
        )
        for name, choice, spec in _chosen(suite.metrics, registry)
    )  # fmt: skip


def _reports(suite: Suite, registry: Registry) -> tuple[Report, ...]:
    label = entry_labels(suite.reports, registry)
    return tuple(
        Report(label(name, choice.params), choice, spec.suffix)
        for name, choice, spec in _chosen(suite.reports, registry)
    )


def _runtimes(suite: Suite, registry: Registry) -> tuple[Runtime, ...]:
    latency = suite.measure.latency
    found = []
    for name in latency.runtimes if latency is not None else ():
        offer = recorded_runtime(name, registry)
        if not is_own(offer):
            source = provenance.source_of(offer.target, offer.source.distribution)
            found.append(Runtime(name, Choice.of(offer, {}, source)))
    return tuple(found)


def _chosen(entries: Iterable[Entry], registry: Registry) -> Iterator[tuple[str, Choice, Any]]:
    """Every metric or report: what the suite calls it, its choice and its declaration."""
    for entry in entries:
        offer = registry.look_up(entry.kind, entry.name)
        for choice in _choices(entry, offer):
            yield entry.name, choice, offer.spec


def _expanded(
    suite: Suite, registry: Registry, labels: Labels
) -> Iterator[tuple[ModelEntry, Case]]:
    """Every case with the entry it comes from; labels are unique per dataset and device."""
    models = [
        (entry, choice, labels(entry, choice.params), train)
        for entry in suite.models
        for train in [suite.train_for(entry)]
        for choice in _choices(entry, registry.model(entry.name))
    ]
    unique = numbered([label for _, _, label, _ in models])
    name_dataset = entry_labels(suite.datasets, registry)
    for dataset_entry in suite.datasets:
        for dataset in _choices(dataset_entry, registry.dataset(dataset_entry.name)):
            for device in suite.devices:
                for (entry, model, _, train), label in zip(models, unique, strict=True):
                    case = Case(
                        label, model, dataset, train, device, entry.reference, entry.note,
                        name_dataset(dataset_entry.name, dataset.params),
                    )  # fmt: skip
                    yield entry, case


def _choices(entry: Entry, offer: Offer[Any]) -> Iterator[Choice]:
    digest = provenance.source_of(offer.target, offer.source.distribution)
    for params in grids.combinations(grids.axes(entry.params, offer.spec.parameters)):
        yield Choice.of(offer, params, digest)


def _size(entries: Iterable[Entry], look_up: Callable[[str], Offer[Any]]) -> int:
    return sum(grids.size(grids.axes(e.params, look_up(e.name).spec.parameters)) for e in entries)


def _check_count(count: int, suite: Suite, allow_many: bool) -> None:
    if count <= (MOST_TRIALS if allow_many else MAX_TRIALS):
        return
    cases = count // len(suite.seeds)
    message = (
        f"{suite.name} expands to {count:,} trials ({cases:,} cases × {len(suite.seeds):,} seeds)"
    )
    if count > MOST_TRIALS:
        raise UsageError(
            f"{message}, more than the {MOST_TRIALS:,} possible: make its grids smaller"
        )
    raise UsageError(f"{message}, more than {MAX_TRIALS:,}: give --yes if you mean it")


def _matching(
    kind: str,
    items: Sequence[Item],
    wanted: Sequence[Any],
    names: Callable[[Item], list[Any]],
    there: Iterable[str] = (),
) -> tuple[Item, ...]:
    """The items that ``wanted`` names; all if it is empty.

    Raises:
        UsageError: one of ``wanted`` names nothing.
    """
    if not wanted:
        return tuple(items)
    known = dict.fromkeys(name for item in items for name in names(item))
    for one in wanted:
        if one not in known:
            all_names = [str(name) for name in dict.fromkeys([*there, *known])]
            hint = nearest(one, all_names)
            if not hint.startswith("did"):
                more = ", …" if len(all_names) > MAX_NAMED else ""
                hint = nearest(one, all_names[:MAX_NAMED]) + more
            raise UsageError(f"no {kind} of this suite is called {str(one)!r}; {hint}")
    return tuple(item for item in items if not set(wanted).isdisjoint(names(item)))


def _names(name: str, label: str = "") -> list[str]:
    """What an entry can be called: its name, with or without distribution, and its label."""
    return [each for each in (name, name.rpartition(":")[2], label) if each]


def _may_match(entry: ModelEntry, wanted: Sequence[str]) -> bool:
    """Whether ``wanted`` can name a case of ``entry``, whose labels are not made yet."""
    names = _names(entry.name, entry.label)
    return any(one in names or one.startswith(f"{name} ") for one in wanted for name in names)
