"""Finds plugin packages and isolates broken ones.

Every entry point has its own plugin manager, and all errors are caught, so that a package that
fails to import, or whose hook raises, affects no other.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import re
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pluggy

import seqbench
from seqbench.errors import PluginError, UsageError
from seqbench.plugins import hookspecs
from seqbench.plugins.metadata import entry_points_of
from seqbench.plugins.output import printed_on_stderr
from seqbench.plugins.registry import (
    GROUP,
    KINDS,
    Offer,
    Origin,
    Plugin,
    Registry,
    normal_name,
    plural,
)
from seqbench.suggest import suggested

#: Environment variables, set by --no-plugin and --strict for this process and its workers.
DISABLE, STRICT = "SEQBENCH_DISABLE_PLUGINS", "SEQBENCH_STRICT_PLUGINS"


def load_plugins() -> Registry:
    """Find and load all installed plugins.

    Those in ``SEQBENCH_DISABLE_PLUGINS`` (entry points or distributions, separated by commas) are
    not loaded.

    Raises:
        UsageError: ``SEQBENCH_DISABLE_PLUGINS`` contains an unknown plugin.
        PluginError: a plugin is broken and ``SEQBENCH_STRICT_PLUGINS`` is not empty; otherwise
            broken plugins raise nothing here.
    """
    found, unreadable = _entry_points()
    disabled = _disabled([origin for origin, _ in found])
    with printed_on_stderr():
        plugins = [
            Plugin(origin, disabled=True) if origin in disabled else _load_one(origin, entry_point)
            for origin, entry_point in found
        ]
    registry = Registry(_without_duplicates(plugins), tuple(unreadable))
    if os.environ.get(STRICT):
        _refuse_broken(registry)
    return registry


def _disabled(origins: Sequence[Origin]) -> set[Origin]:
    """The plugins that the user disabled. Raises UsageError."""
    disabled: set[Origin] = set()
    for name in filter(None, map(str.strip, os.environ.get(DISABLE, "").split(","))):
        named = {o for o in origins if name == o.entry_point or normal_name(name) == o.normal_name}
        if not named:
            known = [name for o in origins for name in (o.entry_point, o.distribution)]
            message = f"cannot disable unknown plugin {name!r}"
            raise UsageError(suggested(message, name, known, "(see `seqbench plugins`)"))
        disabled |= named
    return disabled


def _refuse_broken(registry: Registry) -> None:
    broken = [f"plugin {p.origin} is broken: {p.error}" for p in registry.plugins if p.error]
    if broken:
        raise PluginError("\n".join(broken))


def _without_duplicates(plugins: Iterable[Plugin]) -> tuple[Plugin, ...]:
    """Mark a plugin as broken if another of its distribution already offers the same name."""
    kept: list[Plugin] = []
    seen: dict[tuple[str, str], str] = {}
    for plugin in plugins:
        names = [f"{offer.kind} {offer.spec.name!r}" for offer in plugin.offers]
        keys = [(normal_name(plugin.origin.distribution), name) for name in names]
        errors = [f"{key[1]} is already offered by {seen[key]!r}" for key in keys if key in seen]
        if errors:
            kept.append(Plugin(plugin.origin, error=errors[0]))
        else:
            seen.update(dict.fromkeys(keys, plugin.origin.entry_point))
            kept.append(plugin)
    return tuple(kept)


def _entry_points() -> tuple[list[tuple[Origin, importlib.metadata.EntryPoint]], list[str]]:
    """Each entry point of the group once, in a stable order; and a line for each distribution whose
    metadata cannot be read: it need not have anything to do with seqbench.

    Reads each distribution separately, since ``entry_points()`` drops the second of two
    distributions that use the same entry-point name. A distribution that is on the path twice (an
    editable install and its leftovers) counts once: the first is the one that Python imports.
    """
    found: dict[tuple[str, str], tuple[Origin, importlib.metadata.EntryPoint]] = {}
    unreadable = []
    for distribution in importlib.metadata.distributions():
        place = str(getattr(distribution, "_path", "a distribution"))
        if Path(place).name.startswith("~"):  # what pip leaves behind of a package it removed
            continue
        try:
            name, version = distribution.metadata["Name"], distribution.version
            own = [one for one in entry_points_of(distribution) if one.group == GROUP]
        except Exception as error:  # metadata can be broken in any way
            reason = " ".join(str(error).split())
            unreadable.append(f"{place}: {type(error).__name__}: {reason}")
            continue
        if own and not (name and version):
            unreadable.append(f"{place}: METADATA has no {'Version' if name else 'Name'}")
            continue
        for entry_point in own:
            origin = Origin(entry_point.name, name, version)
            found.setdefault((normal_name(name), entry_point.name), (origin, entry_point))
    return [found[key] for key in sorted(found)], unreadable


def _load_one(origin: Origin, entry_point: importlib.metadata.EntryPoint) -> Plugin:
    try:
        module = entry_point.load()
        _refuse_newer(getattr(module, "SEQBENCH_API", hookspecs.API))
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(hookspecs)
        manager.register(module)
        _refuse_misspelled_hooks(manager, module)
        specs = [spec for kind in KINDS for spec in _collect(manager, kind)]
        if not specs:
            raise ValueError(f"{entry_point.value} offers no {', no '.join(KINDS)}")
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # even sys.exit() at import
        return Plugin(origin, error=_reason(error))
    return Plugin(origin, tuple(Offer(spec, origin) for spec in specs))


def _refuse_newer(wanted: object) -> None:
    if not isinstance(wanted, int):
        raise ValueError(f"SEQBENCH_API is {wanted!r}, not a whole number")
    if wanted > hookspecs.API:
        raise ValueError(
            f"it needs version {wanted} of the hooks, but seqbench {seqbench.__version__} has "
            f"version {hookspecs.API}: upgrade seqbench"
        )


def _refuse_misspelled_hooks(manager: pluggy.PluginManager, module: object) -> None:
    known = [name for name in vars(hookspecs) if name.startswith("seqbench_")]
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        match = re.search(r"unknown hook '(\w+)'", str(error))
        if not match:
            raise
        raise ValueError(_unknown_hook(match[1], known)) from None
    # Pluggy ignores functions without the decorator.
    for name, value in vars(module).items():
        bare = inspect.isfunction(value) and not hasattr(value, "seqbench_impl")
        if name.startswith("seqbench_") and bare:
            raise ValueError(f"{name} lacks the decorator @seqbench.hookimpl")


def _unknown_hook(name: str, known: list[str]) -> str:
    return suggested(f"unknown hook {name!r}", name, known)


def _collect(manager: pluggy.PluginManager, kind: str) -> list[Any]:
    """The specs of one kind that a plugin declares, after checking their types."""
    hook, wanted = f"seqbench_{plural(kind)}", KINDS[kind]
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
                raise ValueError(f"{hook} returned two specs named {spec.name!r}")
            specs.append(spec)
    return specs


def _reason(error: BaseException) -> str:
    """One line: the error, the last line of the plugin's own code, and what to do."""
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
    outdated = isinstance(error, ImportError) and (error.name or "").partition(".")[0] == GROUP
    error_line = f"{type(error).__name__}: {text}{place}"
    if not outdated:
        return error_line
    return (
        f"{error_line}; it may need a later seqbench than {seqbench.__version__}: upgrade seqbench"
    )
