"""From ``"package.module:function"`` to the function. Importing this costs no torch."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from seqbench.errors import PluginError
from seqbench.plugins.choice import Choice


def import_object(path: str) -> Callable[..., Any]:
    """The function or class behind ``"package.module:function"``.

    Raises:
        ModuleNotFoundError, AttributeError: it does not exist. Other errors of its import pass.
    """
    module_name, _, attribute = path.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in attribute.split("."):
        found = getattr(found, part)
    function: Callable[..., Any] = found
    return function


def load_object(choice: Choice) -> Callable[..., Any]:
    """The function behind a plugin's ``"package.module:function"``.

    Raises:
        PluginError: it does not exist. Errors raised while importing it pass through.
    """
    try:
        return import_object(choice.target)
    except (ModuleNotFoundError, AttributeError) as error:
        raise PluginError(
            f"{choice.name!r} of {choice.distribution} {choice.version}: "
            f"cannot load {choice.target!r}: {error}"
        ) from error


def check_call(
    choice: Choice, function: Callable[..., Any], *arguments: Any, **parameters: Any
) -> None:
    """Checks that a plugin's function takes what its declaration promises.

    Raises:
        PluginError: it does not.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # not every callable tells
        return
    try:
        signature.bind(*arguments, **parameters)
    except TypeError as error:
        raise PluginError(
            f"{choice.name!r} of {choice.distribution} {choice.version}: {choice.target} does not "
            f"take the parameters that are declared for it: {error}"
        ) from None
