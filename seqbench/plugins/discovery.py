"""Finds plugin packages and keeps broken ones apart.

Every entry point gets a plugin manager of its own and every step of it runs under a guard, so that
a package that fails to import, or whose hook raises, affects no other."""

from __future__ import annotations

import contextlib
import difflib
import importlib.metadata
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any

import pluggy

import seqbench
from seqbench.errors import PluginError, UsageError
from seqbench.plugins import hookspecs
from seqbench.plugins.registry import GROUP, KINDS, Offer, Origin, Plugin, Registry, normal_name

#: What is said of a plugin for a later seqbench.
UPGRADE = f"seqbench {seqbench.__version__} has version {hookspecs.API}: upgrade seqbench"

#: Variables that the command line's --no-plugin and --strict set, for this process and its workers.
DISABLE, STRICT = "SEQBENCH_DISABLE_PLUGINS", "SEQBENCH_STRICT_PLUGINS"


def load_plugins() -> Registry:
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


def _disabled(sources: Sequence[Origin]) -> set[Origin]:
    """Those that the user does without. Raises UsageError."""
    chosen: set[Origin] = set()
    for name in filter(None, map(str.strip, os.environ.get(DISABLE, "").split(","))):
        named = {s for s in sources if name == s.entry_point or normal_name(name) == s.normal_name}
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
        keys = [(normal_name(plugin.source.distribution), name) for name in names]
        twins = [f"{key[1]} is offered by {seen[key]!r} already" for key in keys if key in seen]
        if twins:
            kept.append(Plugin(plugin.source, error=twins[0]))
        else:
            seen.update(dict.fromkeys(keys, plugin.source.entry_point))
            kept.append(plugin)
    return tuple(kept)


def _entry_points() -> Iterable[tuple[Origin, importlib.metadata.EntryPoint]]:
    """Each entry point of the group once, in a stable order.

    Asked of each distribution by itself: ``entry_points()`` drops the second of two distributions
    that use the same entry-point name. A distribution that lies on the path twice (an editable
    install and its leftovers) counts once: the first is the one that Python imports.
    """
    found: dict[tuple[str, str], tuple[Origin, importlib.metadata.EntryPoint]] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if not name:
            continue
        for entry_point in distribution.entry_points:
            if entry_point.group == GROUP:
                source = Origin(entry_point.name, name, distribution.version)
                found.setdefault((normal_name(name), entry_point.name), (source, entry_point))
    return [found[key] for key in sorted(found)]


def _load_one(source: Origin, entry_point: importlib.metadata.EntryPoint) -> Plugin:
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
            r"importlib|[\\/]pluggy[\\/]|[\\/]seqbench[\\/]plugins[\\/]|<frozen", frame.filename
        )
    ]
    place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {text}{place}"
