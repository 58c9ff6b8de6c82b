"""Docstrings that users see, in help texts and schemas. ``python -OO`` strips them; then they are
read from the source files.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


def docstring_of(thing: Any) -> str:
    """The docstring of a function or class; "" if it has none, or its source is not available."""
    found = thing.__doc__ or _docstrings(thing.__module__).get(thing.__qualname__, "")
    return inspect.cleandoc(found)


def restore_docstrings(module: ModuleType) -> None:
    """Give the classes of a module the docstrings that Python has stripped."""
    for thing in list(vars(module).values()):
        if isinstance(thing, type) and thing.__module__ == module.__name__ and not thing.__doc__:
            thing.__doc__ = docstring_of(thing) or None


@functools.cache
def _docstrings(module: str) -> dict[str, str]:
    """The docstring of every function and class of a module, by qualified name."""
    if sys.flags.optimize < 2:
        return {}
    path = getattr(sys.modules.get(module), "__file__", None)
    try:
        tree = ast.parse(Path(path or "").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    return dict(_found(tree, ""))


def _found(parent: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield prefix + node.name, ast.get_docstring(node) or ""
            yield from _found(node, f"{prefix}{node.name}.")
