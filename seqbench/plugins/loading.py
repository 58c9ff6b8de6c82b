"""Imports the function behind ``"package.module:function"``. Imports no torch itself."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from seqbench.errors import PluginError
from seqbench.plugins.choice import Choice


def import_object(path: str) -> Callable[..., Any]:
    """Import the function or class behind ``"package.module:function"``.

    Raises:
        ModuleNotFoundError, AttributeError: it does not exist. Other errors pass through.
    """
    module_name, _, attribute = path.partition(":")
    value: Any = importlib.import_module(module_name)
    for part in attribute.split("."):
        value = getattr(value, part)
    function: Callable[..., Any] = value
    return function


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters; none if they are unknown."""
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some callables have no signature
        return ()


def load_object(choice: Choice) -> Callable[..., Any]:
    """Import the function of a choice.

    Raises:
        PluginError: it does not exist. Other errors of its import pass through.
    """
    try:
        return import_object(choice.import_path)
    except (ModuleNotFoundError, AttributeError) as error:
        raise PluginError(
            f"{choice.name!r} of {choice.distribution} {choice.version}: "
            f"cannot load {choice.import_path!r}: {error}"
        ) from error


def check_call(
    choice: Choice, function: Callable[..., Any], /, *arguments: Any, **parameters: Any
) -> None:
    """Check that a plugin's function accepts its declared parameters.

    Raises:
        PluginError: it does not.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some callables have no signature
        return
    try:
        signature.bind(*arguments, **parameters)
    except TypeError as error:
        raise PluginError(
            f"{choice.name!r} of {choice.distribution} {choice.version}: "
            f"{choice.import_path} does not accept its declared parameters: {error}"
        ) from None
