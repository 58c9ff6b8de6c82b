"""Compares the parameters given in a suite with those that a plugin declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqbench.errors import UsageError
from seqbench.suggest import suggestion
from seqbench.types import Param


def problem_with(value: Any, declared: Param) -> str:
    """Why ``value`` is invalid for ``declared``, or ``""``."""
    default = declared.default
    if declared.choices:
        if value in declared.choices and type(value) in {type(c) for c in declared.choices}:
            return ""
        return f"{value!r} is not one of {', '.join(map(repr, declared.choices))}"
    if default is not None and not _same_type(value, default):
        return f"{value!r} is {_kind(value)}, not {_kind(default)} (default {default!r})"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value != value or value in (float("inf"), float("-inf")):
            return f"{value!r} is not a finite number"
        if declared.minimum is not None and value < declared.minimum:
            return f"{value!r} is less than {declared.minimum:g}"
        if declared.maximum is not None and value > declared.maximum:
            return f"{value!r} is more than {declared.maximum:g}"
    return ""


def checked(name: str, given: Mapping[str, Any], declared: Mapping[str, Param]) -> dict[str, Any]:
    """Every declared parameter of the offer ``name``, with the given value or its default.

    Raises:
        UsageError: unknown parameter, or invalid value.
    """
    for key, value in given.items():
        if key not in declared:
            hint = suggestion(key, declared) or "it has no parameters"
            raise UsageError(f"{name} has no parameter {key!r}; {hint}")
        if problem := problem_with(value, declared[key]):
            raise UsageError(f"{name}, {key}: {problem}")
    return completed(given, declared)


def is_grid(value: Any, declared: Param) -> bool:
    """Whether ``value`` is a list of values for ``declared``, rather than a single value."""
    if not isinstance(value, list):
        return False
    if isinstance(declared.default, (list, tuple)):
        return bool(value) and all(isinstance(item, list) for item in value)
    return True


def completed(given: Mapping[str, Any], declared: Mapping[str, Param]) -> dict[str, Any]:
    """Every declared parameter, with the given value or its default.

    If the default is a float, a whole number is converted to one, so that ``1`` and ``1.0`` give
    the same case.
    """
    values = {}
    for name, param in declared.items():
        value = given.get(name, param.default)
        if isinstance(param.default, float) and isinstance(value, int):
            value = float(value)
        values[name] = list(value) if isinstance(value, tuple) else value
    return values


def _same_type(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float))
    if isinstance(default, (list, tuple)):
        return isinstance(value, list)
    return isinstance(value, type(default))


def _kind(value: Any) -> str:
    kinds = (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "text"),
        (list, "a list"),
        (tuple, "a list"),
        (dict, "a mapping"),
        (type(None), "null"),
    )
    return next((words for kind, words in kinds if isinstance(value, kind)), "a value")
