"""The optimizers, schedules and losses that suites can name: seqbench's own and plugins'."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from seqbench.errors import UnknownName
from seqbench.plugins.provenance import source_of
from seqbench.plugins.registry import Offer, Origin, Plugin, Registry
from seqbench.suite.optimizers import METHODS, Kind, Method
from seqbench.types import LossSpec, OptimizerSpec, ScheduleSpec
from seqbench.version import __version__

SEQBENCH = Origin("methods", "seqbench", __version__)

_SPECS: dict[str, Any] = {"optimizer": OptimizerSpec, "schedule": ScheduleSpec, "loss": LossSpec}


def _own() -> Iterator[Offer[Any]]:
    """What seqbench offers itself, declared as a plugin would."""
    for what, kinds in METHODS.items():
        for name, kind in kinds.items():
            spec = _SPECS[what](name, "seqbench.training.step:Step", description=kind.description)
            # A plugin's schedule could neither require a parameter nor declare warmup.
            object.__setattr__(spec, "parameters", _parameters(kind))
            if what == "loss":
                object.__setattr__(spec, "targets", kind.targets)
            yield Offer(spec, SEQBENCH)


def _parameters(kind: Kind) -> dict[str, Any]:
    return {
        name: dataclasses.replace(param, help=f"required; {param.help}")
        if name in kind.required
        else param
        for name, param in kind.parameters.items()
    }


OWN = Plugin(SEQBENCH, tuple(_own()))


def with_own_methods(registry: Registry) -> Registry:
    """A registry with seqbench's own methods in addition to the offers of plugins."""
    return Registry((OWN, *registry.plugins), registry.unreadable)


def method_named(registry: Registry, what: str, name: str) -> Method:
    """The method that a suite calls ``name``, without parameters.

    Args:
        registry: with seqbench's own methods.
        what: ``optimizer``, ``schedule`` or ``loss``.

    Raises:
        UnknownName: nothing offers it, or the name is ambiguous.
    """
    try:
        offer = registry.look_up(what, name)
    except UnknownName:
        if name.lower() not in METHODS[what]:
            raise
        offer = registry.look_up(what, name.lower())  # torch writes Adam
    if offer.origin == SEQBENCH:
        return Method(offer.spec.name)
    source = source_of(offer.import_path, offer.origin.distribution)
    return Method(offer.spec.name, {}, offer, source)
