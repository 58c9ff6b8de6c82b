"""The offers of working plugins, looked up by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from seqbench.errors import UnknownName
from seqbench.plugins import zoo
from seqbench.suggest import available, did_you_mean, nearest
from seqbench.types import (
    DatasetSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    OptimizerSpec,
    ReportSpec,
    RuntimeSpec,
    ScheduleSpec,
)

Spec = TypeVar(
    "Spec",
    bound="ModelSpec | DatasetSpec | MetricSpec | ReportSpec | RuntimeSpec | LossSpec | "
    "OptimizerSpec | ScheduleSpec",
)

#: The group of the entry points by which plugin packages are found.
GROUP = "seqbench"

#: The kinds of offers, each with its spec; the hook is ``seqbench_`` and the plural.
KINDS: Mapping[str, type[Any]] = {
    "model": ModelSpec, "dataset": DatasetSpec, "metric": MetricSpec, "report": ReportSpec,
    "runtime": RuntimeSpec, "loss": LossSpec, "optimizer": OptimizerSpec,
    "schedule": ScheduleSpec,
}  # fmt: skip


def plural(kind: str) -> str:
    """The plural of a kind, as in hooks and commands."""
    return "losses" if kind == "loss" else f"{kind}s"


@dataclass(frozen=True)
class Origin:
    """The entry point and distribution that a plugin is from."""

    entry_point: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def normal_name(self) -> str:
        """The distribution's name in its normalized form."""
        return normal_name(self.distribution)


@dataclass(frozen=True)
class Offer(Generic[Spec]):
    """A spec together with the plugin that it is from."""

    spec: Spec
    origin: Origin

    @property
    def kind(self) -> str:
        """One of :data:`KINDS`."""
        return next(kind for kind, spec in KINDS.items() if isinstance(self.spec, spec))

    @property
    def import_path(self) -> str:
        """``"package.module:function"`` of its implementation."""
        spec: Any = self.spec
        names = {"dataset": "load", "report": "render", "runtime": "prepare"}
        function = names.get(self.kind, "build")
        return str(getattr(spec, function))

    @property
    def qualified_name(self) -> str:
        """``distribution:name``, which is unique."""
        return f"{self.origin.distribution}:{self.spec.name}"


@dataclass(frozen=True)
class Plugin:
    """One entry point: its offers, or why it is broken. A ``disabled`` one is not imported."""

    origin: Origin
    offers: tuple[Offer[Any], ...] = ()
    error: str = ""
    disabled: bool = False


@dataclass(frozen=True)
class Registry:
    """All plugins found, for looking up names.

    Args:
        unreadable: a line for each installed distribution whose metadata cannot be read.
    """

    plugins: tuple[Plugin, ...] = ()
    unreadable: tuple[str, ...] = ()
    #: The offers of each kind, by name.
    _tables: Mapping[str, dict[str, list[Offer[Any]]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        tables: dict[str, dict[str, list[Offer[Any]]]] = {kind: {} for kind in KINDS}
        for plugin in self.plugins:
            for offer in plugin.offers:
                tables[offer.kind].setdefault(offer.spec.name, []).append(offer)
        object.__setattr__(self, "_tables", tables)

    def all_of(self, kind: str) -> list[Offer[Any]]:
        """Every offer of one kind, such as ``"model"``, sorted by name."""
        table = self._tables[kind]
        return [offer for name in sorted(table) for offer in table[name]]

    @property
    def models(self) -> list[Offer[ModelSpec]]:
        """Every model, sorted by name."""
        return self.all_of("model")

    @property
    def datasets(self) -> list[Offer[DatasetSpec]]:
        """Every dataset, sorted by name."""
        return self.all_of("dataset")

    def model(self, name: str) -> Offer[ModelSpec]:
        """Look up a model by ``name`` or ``distribution:name``.

        Raises:
            UnknownName: no working plugin offers it, or more than one does.
        """
        return self.look_up("model", name)

    def dataset(self, name: str) -> Offer[DatasetSpec]:
        """Look up a dataset by ``name`` or ``distribution:name``.

        Raises:
            UnknownName: no working plugin offers it, or more than one does.
        """
        return self.look_up("dataset", name)

    def offer(self, name: str) -> Offer[Any]:
        """Look up an offer of any kind by ``name`` or ``distribution:name``.

        If several kinds have it, the first of ``KINDS`` counts: models before datasets, and so on.

        Raises:
            UnknownName: no working plugin offers it, or more than one does.
        """
        short = name.rpartition(":")[2]
        for kind in KINDS:
            if self._named(kind, name):
                return self.look_up(kind, name)
        known = {name: offers for table in self._tables.values() for name, offers in table.items()}
        raise UnknownName(f"no plugin offers {name!r}{self._hint('plugin', name, short, known)}")

    def clashes(self, plugin: Plugin) -> list[str]:
        """One line for each name of ``plugin`` that another distribution also offers."""
        lines = []
        for offer in plugin.offers:
            same = self._tables[offer.kind][offer.spec.name]
            whose = ", ".join(str(other.origin) for other in same if other.origin != offer.origin)
            if whose:
                lines.append(
                    f"{offer.kind} {offer.spec.name!r} is also offered by {whose}: "
                    f"write {offer.qualified_name!r}"
                )
        return lines

    def look_up(self, kind: str, name: str) -> Offer[Any]:
        """Look up an offer of one kind by ``name`` or ``distribution:name``.

        Raises:
            UnknownName: no working plugin offers it, or more than one does.
        """
        offers, short = self._named(kind, name), name.rpartition(":")[2]
        if len(offers) == 1:
            return offers[0]
        if offers:
            whose = " and ".join(str(offer.origin) for offer in offers)
            raise UnknownName(
                f"{kind} {short!r} is offered by {whose}: write {offers[0].qualified_name!r} "
                f"or {offers[1].qualified_name!r}"
            )
        raise UnknownName(
            f"unknown {kind} {name!r}{self._hint(kind, name, short, self._tables[kind])}"
        )

    def _named(self, kind: str, name: str) -> list[Offer[Any]]:
        """All offers of one kind with this ``name`` or ``distribution:name``."""
        distribution, _, short = name.rpartition(":")
        return [
            offer
            for offer in self._tables[kind].get(short, [])
            if not distribution
            or normal_name(offer.origin.distribution) == normal_name(distribution)
        ]

    def _hint(self, kind: str, name: str, short: str, table: Mapping[str, Any]) -> str:
        for plugin in self.plugins:
            names = {plugin.origin.distribution, plugin.origin.entry_point}
            if plugin.error and (
                names & {name, short} or re.search(rf"\b{re.escape(short)}\b", plugin.error)
            ):
                return f" (plugin {plugin.origin} is broken: {plugin.error})"
        if found := zoo.package_with(kind, short):
            return self._in_zoo(found)
        near = nearest(short, table) or nearest(short, zoo.names(kind), cutoff=0.75)
        if near:
            return f"; {did_you_mean(near)}"
        broken = [str(plugin.origin) for plugin in self.plugins if plugin.error]
        disabled = [str(plugin.origin) for plugin in self.plugins if plugin.disabled]
        hint = f"; {available(sorted(table)) or 'available: none'} (see `seqbench {plural(kind)}`)"
        if broken:
            hint += f"; broken plugins: {', '.join(broken)} (see `seqbench plugins`)"
        if self.unreadable:
            hint += "; some packages have unreadable metadata (see `seqbench plugins`)"
        if disabled:
            hint += f"; disabled plugins: {', '.join(disabled)}"
        return hint

    def _in_zoo(self, package: str) -> str:
        """Where an offer of the zoo is, and why it cannot be used."""
        for plugin in self.plugins:
            if plugin.origin.normal_name == package and plugin.error:
                return f" (plugin {plugin.origin} is broken: {plugin.error})"
            if plugin.origin.normal_name == package and plugin.disabled:
                return f": it is in the package {package}, which is disabled"
        return f": it is in the package {package}; install it with: {zoo.install_command(package)}"


def normal_name(distribution: str) -> str:
    """Normalize a distribution's name (PEP 503), so that all its spellings are equal."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
