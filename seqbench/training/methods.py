"""The optimizer, schedule and loss of a plugin, from the training settings of a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seqbench.plugins.choice import JSON_KEYS, Choice
from seqbench.plugins.loading import load_object
from seqbench.plugins.provenance import check_unchanged


def is_plugins(chosen: Mapping[str, Any]) -> bool:
    """Whether an optimizer, schedule or loss is from a plugin, rather than seqbench's own."""
    return "distribution" in chosen


def load_method(chosen: Mapping[str, Any]) -> tuple[Choice, Callable[..., Any]]:
    """What a plugin's optimizer, schedule or loss is, and its function.

    Args:
        chosen: as :func:`seqbench.suite.optimizers.resolved` gives it.

    Raises:
        PluginError: the package changed since the run was planned, or has no such function.
    """
    names = {JSON_KEYS.get(name, name): name for name in Choice.__dataclass_fields__}
    choice = Choice(**{names[key]: value for key, value in chosen.items() if key in names})
    check_unchanged(choice)
    return choice, load_object(choice)


def named(choice: Choice) -> str:
    """A plugin's offer in an error: ``'lion' of my-optimizers 1.0``."""
    return f"{choice.name!r} of {choice.distribution} {choice.version}"
