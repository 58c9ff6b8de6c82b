"""What working plugins offer, looked up by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from seqbench.errors import UnknownName, UsageError
from seqbench.types import DatasetSpec, MetricSpec, ModelSpec, ReportSpec, RuntimeSpec

Spec = TypeVar("Spec", ModelSpec, DatasetSpec, MetricSpec, ReportSpec, RuntimeSpec)

#: The group of the entry points through which plugin packages are found.
GROUP = "seqbench"

#: What a plugin can offer: each kind with its declaration; its hook is ``seqbench_<kind>s``.
KINDS: Mapping[str, type[Any]] = {
    "model": ModelSpec, "dataset": DatasetSpec, "metric": MetricSpec, "report": ReportSpec,
    "runtime": RuntimeSpec,
}  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """Where a plugin came from."""

    entry_point: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def normal_name(self) -> str:
        """Of the distribution: the form in which two spellings of it are equal."""
        return normal_name(self.distribution)


@dataclass(frozen=True)
class Offer(Generic[Spec]):
    """What a working plugin declares."""

    spec: Spec
    source: Origin

    @property
    def kind(self) -> str:
        """``model``, ``dataset``, ``metric``, ``report`` or ``runtime``."""
        return next(kind for kind, spec in KINDS.items() if isinstance(self.spec, spec))

    @property
    def target(self) -> str:
        """``"package.module:function"`` of what is behind it."""
        spec: Any = self.spec
        names = {"dataset": "load", "report": "render", "runtime": "prepare"}
        function = names.get(self.kind, "build")
        return str(getattr(spec, function))

    @property
    def qualified_name(self) -> str:
        """The name that no other distribution can claim."""
        return f"{self.source.distribution}:{self.spec.name}"


@dataclass(frozen=True)
class Plugin:
    """One entry point: what it offers, or why it does not work; one that is ``disabled`` is not
    even imported.
    """

    source: Origin
    offers: tuple[Offer[Any], ...] = ()
    error: str = ""
    disabled: bool = False


@dataclass(frozen=True)
class Registry:
    """All plugins found. Names are looked up here."""

    plugins: tuple[Plugin, ...] = ()
    #: For each kind its offers by name.
    _tables: Mapping[str, dict[str, list[Offer[Any]]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        tables: dict[str, dict[str, list[Offer[Any]]]] = {kind: {} for kind in KINDS}
        for plugin in self.plugins:
            for offer in plugin.offers:
                tables[offer.kind].setdefault(offer.spec.name, []).append(offer)
        object.__setattr__(self, "_tables", tables)

    def all_of(self, kind: str) -> list[Offer[Any]]:
        """Every model (``"model"``), dataset, metric, report or runtime offered, by name."""
        table = self._tables[kind]
        return [offer for name in sorted(table) for offer in table[name]]

    @property
    def models(self) -> list[Offer[ModelSpec]]:
        """Every model offered, by name."""
        return self.all_of("model")

    @property
    def datasets(self) -> list[Offer[DatasetSpec]]:
        """Every dataset offered, by name."""
        return self.all_of("dataset")

    def model(self, name: str) -> Offer[ModelSpec]:
        """The model called ``name`` or ``distribution:name``.

        Raises:
            UnknownName: no working plugin offers it, or more than one does.
        """
        return self.look_up("model", name)

    def dataset(self, name: str) -> Offer[DatasetSpec]:
        """The dataset called ``name`` or ``distribution:name``.

        Raises:
            UnknownName: no working plugin offers it, or more than one does.
        """
        return self.look_up("dataset", name)

    def offer(self, name: str) -> Offer[Any]:
        """The model or, where none is called so, the dataset ``name`` or ``distribution:name``.

        Raises:
            UnknownName: no working plugin offers it, or more than one does.
            UsageError: it is a metric, report or runtime.
        """
        short = name.rpartition(":")[2]
        for kind in ("model", "dataset"):
            if self._named(kind, name):
                return self.look_up(kind, name)
        for kind in ("metric", "report", "runtime"):
            if short in self._tables[kind]:
                raise UsageError(f"{name!r} is a {kind}: only models and datasets can be checked")
        both = {**self._tables["model"], **self._tables["dataset"]}
        raise UnknownName(
            f"no model and no dataset is called {name!r}{self._hint('model', name, short, both)}"
        )

    def clashes(self, plugin: Plugin) -> list[str]:
        """One line for each name of ``plugin`` that another distribution offers as well."""
        lines = []
        for offer in plugin.offers:
            same = self._tables[offer.kind][offer.spec.name]
            whose = ", ".join(str(other.source) for other in same if other.source != offer.source)
            if whose:
                lines.append(
                    f"{offer.kind} {offer.spec.name!r} is offered by {whose} too: "
                    f"write {offer.qualified_name!r}"
                )
        return lines

    def look_up(self, kind: str, name: str) -> Offer[Any]:
        """What is called ``name`` or ``distribution:name`` among those of one kind.

        Raises:
            UnknownName: no working plugin offers it, or more than one does.
        """
        offers, short = self._named(kind, name), name.rpartition(":")[2]
        if len(offers) == 1:
            return offers[0]
        if offers:
            whose = " and ".join(str(offer.source) for offer in offers)
            raise UnknownName(
                f"{kind} {short!r} is offered by {whose}: write {offers[0].qualified_name!r} "
                f"or {offers[1].qualified_name!r}"
            )
        raise UnknownName(
            f"no {kind} is called {name!r}{self._hint(kind, name, short, self._tables[kind])}"
        )

    def _named(self, kind: str, name: str) -> list[Offer[Any]]:
        """Those of one kind that are called ``name`` or ``distribution:name``."""
        distribution, _, short = name.rpartition(":")
        return [
            offer
            for offer in self._tables[kind].get(short, [])
            if not distribution
            or normal_name(offer.source.distribution) == normal_name(distribution)
        ]

    def _hint(self, kind: str, name: str, short: str, table: Mapping[str, Any]) -> str:
        for plugin in self.plugins:
            said = {plugin.source.distribution, plugin.source.entry_point}
            if plugin.error and (
                said & {name, short} or re.search(rf"\b{re.escape(short)}\b", plugin.error)
            ):
                return f" (plugin {plugin.source} is broken: {plugin.error})"
        near = [one for one in table if one.lower() == short.lower()]
        near += difflib.get_close_matches(short, table, n=1)
        if near:
            return f"; did you mean {near[0]!r}?"
        broken = [str(plugin.source) for plugin in self.plugins if plugin.error]
        off = [str(plugin.source) for plugin in self.plugins if plugin.disabled]
        hint = f"; there are: {', '.join(sorted(table)) or 'none'} (see `seqbench {kind}s`)"
        if broken:
            hint += f"; broken plugins: {', '.join(broken)} (see `seqbench plugins`)"
        if off:
            hint += f"; disabled plugins: {', '.join(off)}"
        return hint


def normal_name(distribution: str) -> str:
    """The form in which two spellings of one distribution are equal (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
