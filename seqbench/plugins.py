"""Finds plugins, keeps broken ones apart, and remembers where each came from.

Every entry point gets a plugin manager of its own and every step of it runs under a guard, so that
a package that fails to import, or whose hook raises, costs nobody else anything.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.metadata
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pluggy

import seqbench
from seqbench import hookspecs
from seqbench.errors import PluginError, UnknownName, UsageError
from seqbench.types import DatasetSpec, MetricSpec, ModelSpec, ReportSpec

GROUP = "seqbench"
#: What is said of a plugin for a later seqbench.
UPGRADE = f"seqbench {seqbench.__version__} has version {hookspecs.API}: upgrade seqbench"
#: Variables that the command line's --no-plugin and --strict set, for this process and its workers.
DISABLE, STRICT = "SEQBENCH_DISABLE_PLUGINS", "SEQBENCH_STRICT_PLUGINS"

Spec = TypeVar("Spec", ModelSpec, DatasetSpec, MetricSpec, ReportSpec)

#: What a plugin can offer: each kind with its declaration; its hook is ``seqbench_<kind>s``.
KINDS: Mapping[str, type[Any]] = {
    "model": ModelSpec, "dataset": DatasetSpec, "metric": MetricSpec, "report": ReportSpec
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Where a plugin came from."""

    entry_point: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def normal_name(self) -> str:
        """Of the distribution: the form in which two spellings of it are equal."""
        return _normal(self.distribution)


@dataclass(frozen=True)
class Offer(Generic[Spec]):
    """What a working plugin declares."""

    spec: Spec
    source: Source

    @property
    def kind(self) -> str:
        """``model``, ``dataset``, ``metric`` or ``report``."""
        return next(kind for kind, spec in KINDS.items() if isinstance(self.spec, spec))

    @property
    def target(self) -> str:
        """``"package.module:function"`` of what is behind it."""
        spec: Any = self.spec
        function = {"dataset": "load", "report": "render"}.get(self.kind, "build")
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

    source: Source
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
        """Every model (``"model"``), dataset, metric or report offered, by name."""
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
            UsageError: it is a metric or report.
        """
        short = name.rpartition(":")[2]
        for kind in ("model", "dataset"):
            if self._named(kind, name):
                return self.look_up(kind, name)
        for kind in ("metric", "report"):
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
            if not distribution or _normal(offer.source.distribution) == _normal(distribution)
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


def load() -> Registry:
    """Finds and loads every plugin installed, but those that ``SEQBENCH_DISABLE_PLUGINS`` names (by
    entry point or distribution, separated by commas).

    Raises:
        UsageError: none is called so.
        PluginError: one is broken, and ``SEQBENCH_STRICT_PLUGINS`` is set to something; without
            it, a broken one is never an error here.
    """
    found = list(_entry_points())
    disabled = _disabled([source for source, _ in found])
    with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints is not our output
        plugins = [
            Plugin(source, disabled=True) if source in disabled else _load_one(source, entry_point)
            for source, entry_point in found
        ]
    registry = Registry(_without_twins(plugins))
    if os.environ.get(STRICT):
        _refuse_broken(registry)
    return registry


def _disabled(sources: Sequence[Source]) -> set[Source]:
    """Those that the user does without. Raises UsageError."""
    chosen: set[Source] = set()
    for name in filter(None, map(str.strip, os.environ.get(DISABLE, "").split(","))):
        named = {s for s in sources if name == s.entry_point or _normal(name) == s.normal_name}
        if not named:
            known = [name for s in sources for name in (s.entry_point, s.distribution)]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see `seqbench plugins`"
            raise UsageError(f"no plugin is called {name!r}, so it cannot be disabled; {hint}")
        chosen |= named
    return chosen


def _refuse_broken(registry: Registry) -> None:
    broken = [f"plugin {p.source} is broken: {p.error}" for p in registry.plugins if p.error]
    if broken:
        raise PluginError("\n".join(broken))


def _without_twins(plugins: Iterable[Plugin]) -> tuple[Plugin, ...]:
    """Breaks a plugin that offers what another of its own distribution offers: no name helps."""
    kept: list[Plugin] = []
    seen: dict[tuple[str, str], str] = {}
    for plugin in plugins:
        names = [f"{offer.kind} {offer.spec.name!r}" for offer in plugin.offers]
        keys = [(_normal(plugin.source.distribution), name) for name in names]
        twins = [f"{key[1]} is offered by {seen[key]!r} already" for key in keys if key in seen]
        if twins:
            kept.append(Plugin(plugin.source, error=twins[0]))
        else:
            seen.update(dict.fromkeys(keys, plugin.source.entry_point))
            kept.append(plugin)
    return tuple(kept)


def _entry_points() -> Iterable[tuple[Source, importlib.metadata.EntryPoint]]:
    """Each entry point of the group once, in a stable order.

    Asked of each distribution by itself: ``entry_points()`` drops the second of two distributions
    that use the same entry-point name. A distribution that lies on the path twice (an editable
    install and its leftovers) counts once: the first is the one that Python imports.
    """
    found: dict[tuple[str, str], tuple[Source, importlib.metadata.EntryPoint]] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if not name:
            continue
        for entry_point in distribution.entry_points:
            if entry_point.group == GROUP:
                source = Source(entry_point.name, name, distribution.version)
                found.setdefault((_normal(name), entry_point.name), (source, entry_point))
    return [found[key] for key in sorted(found)]


def _load_one(source: Source, entry_point: importlib.metadata.EntryPoint) -> Plugin:
    try:
        module = entry_point.load()
        _refuse_newer(getattr(module, "SEQBENCH_API", hookspecs.API))
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(hookspecs)
        manager.register(module)
        _reject_misspelt_hooks(manager, module)
        specs = [spec for kind in KINDS for spec in _collect(manager, kind)]
        if not specs:
            raise ValueError(f"{entry_point.value} offers no {', no '.join(KINDS)}")
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # a plugin may even call sys.exit() at import
        lacks = isinstance(error, ImportError) and (error.name or "").partition(".")[0] == GROUP
        return Plugin(source, error=_reason(error) + f"; {UPGRADE}" * lacks)
    return Plugin(source, tuple(Offer(spec, source) for spec in specs))


def _refuse_newer(wanted: object) -> None:
    if not isinstance(wanted, int):
        raise ValueError(f"SEQBENCH_API is {wanted!r}, not a whole number")
    if wanted > hookspecs.API:
        raise ValueError(f"it needs version {wanted} of seqbench's hooks, and {UPGRADE}")


def _reject_misspelt_hooks(manager: pluggy.PluginManager, module: object) -> None:
    known = [name for name in vars(hookspecs) if name.startswith("seqbench_")]
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        match = re.search(r"unknown hook '(\w+)'", str(error))
        if not match:
            raise
        raise ValueError(_unknown_hook(match[1], known)) from None
    # Without the decorator pluggy does not see the function at all.
    for name, value in vars(module).items():
        bare = inspect.isfunction(value) and not hasattr(value, "seqbench_impl")
        if name.startswith("seqbench_") and bare:
            raise ValueError(f"{name} lacks the decorator @seqbench.hookimpl")


def _unknown_hook(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    meant = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"
    return f"there is no hook {name!r}{meant}"


def _collect(manager: pluggy.PluginManager, kind: str) -> list[Any]:
    """What a plugin declares of one kind, after checking that it is what the hook promises."""
    hook, wanted = f"seqbench_{kind}s", KINDS[kind]
    specs: list[Any] = []
    for result in getattr(manager.hook, hook)():
        if not isinstance(result, (list, tuple)):
            raise TypeError(
                f"{hook} returned {type(result).__name__}, not a list of {wanted.__name__}"
            )
        for spec in result:
            if not isinstance(spec, wanted):
                raise TypeError(
                    f"{hook} returned a list with {type(spec).__name__} in it, "
                    f"not {wanted.__name__}"
                )
            if any(spec.name == other.name for other in specs):
                raise ValueError(f"{hook} names {spec.name!r} twice")
            specs.append(spec)
    return specs


def _reason(error: BaseException) -> str:
    """One line: what was raised, and the last place in the plugin's own code."""
    text = " ".join(str(error).split()) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if not re.search(
            r"importlib|[\\/]pluggy[\\/]|[\\/]seqbench[\\/]plugins\.py|<frozen", frame.filename
        )
    ]
    place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {text}{place}"


def _normal(distribution: str) -> str:
    """The form in which two spellings of one distribution are equal (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
