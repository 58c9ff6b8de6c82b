"""From a suite's file, and what the command line changes about it, to a plan."""

from __future__ import annotations

from seqbench.plan.expand import Plan, make_plan
from seqbench.plugins.registry import Registry
from seqbench.suite.files import SuiteFile
from seqbench.suite.overrides import Option, Override
from seqbench.suite.selection import Selection
from seqbench.suite.validate import validated


def plan_suite(suite: SuiteFile, selection: Selection, registry: Registry) -> Plan:
    """The plan for a suite. Devices such as ``auto`` are not resolved yet: that needs torch.

    Raises:
        SuiteError, UsageError: the suite or the selection is not valid.
    """
    return make_plan(
        validated(suite, registry=registry, overrides=as_overrides(selection)),
        registry,
        models=selection.models,
        datasets=selection.datasets,
        allow_many=selection.allow_many,
    )


def as_overrides(selection: Selection) -> list[Override]:
    """The selection as overrides of suite keys; devices and seeds are keys like any other."""
    extra = []
    if selection.devices:
        extra.append(Option("devices", "--device", tuple(selection.devices)))
    if selection.seeds is not None:
        extra.append(Option("seeds", "--seeds", (selection.seeds,), several=False))
    return [*selection.overrides, *extra]
