"""A suite given as a dictionary, written as YAML text that the strict parser reads back unchanged.

Every problem names the path of its key, since a dictionary has no lines.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping
from typing import Any

import yaml

from seqbench.suite.strict_yaml import (
    CORE,
    LARGEST_INT,
    MAX_DEPTH,
    SMALLEST_INT,
    KeyPath,
    Mark,
    Problems,
    described,
    dotted,
    plain_scalar,
    shown,
)

#: Line breaks of YAML besides a newline, which it reads as spaces unless they are escaped.
BREAKS = frozenset("\r\x85\u2028\u2029")

PLAIN = "a suite holds text, numbers, true, false, null, lists and mappings"


def yaml_text(suite: Mapping[str, Any], mark: Mark) -> str:
    """The YAML text of a suite given as a dictionary.

    Tuples become lists; numbers of NumPy become plain ones.

    Args:
        mark: stands for the dictionary in messages.

    Raises:
        SuiteError: it holds what a suite cannot hold; the message has the path of each key.
    """
    problems = Problems()
    plain = _plain(suite, (), mark, problems)
    if problems:
        raise problems.error()
    text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def _plain(value: Any, path: KeyPath, mark: Mark, problems: Problems) -> Any:
    """``value`` as plain data; its problems are added to ``problems``."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # of an enumeration, its value
    if isinstance(value, os.PathLike):
        return str(value)
    problem, hint = "", ""
    if isinstance(value, numbers.Real):
        problem = _problem_with(value)
        if not problem:
            return int(value) if isinstance(value, numbers.Integral) else float(value)
    elif hasattr(value, "tolist") and len(path) <= MAX_DEPTH:  # of numpy: booleans and arrays
        return _plain(value.tolist(), path, mark, problems)
    elif len(path) > MAX_DEPTH:
        problem, path = f"nested more than {MAX_DEPTH} levels deep", path[:3]
    elif isinstance(value, Mapping):
        return _plain_mapping(value, path, mark, problems)
    elif isinstance(value, (list, tuple, range)):
        items = enumerate(value)
        return [_plain(item, (*path, number), mark, problems) for number, item in items]
    else:
        problem, hint = f"must not be an object of type {type(value).__name__}", PLAIN
    problems.add(mark, problem, hint, dotted(path))
    return None


def _problem_with(number: numbers.Real) -> str:
    if isinstance(number, numbers.Integral):
        fits = SMALLEST_INT <= number <= LARGEST_INT
        return "" if fits else "the whole number is too large"
    return "" if math.isfinite(number) else f"{number} is not a finite number"


def _plain_mapping(
    value: Mapping[Any, Any], path: KeyPath, mark: Mark, problems: Problems
) -> dict[str, Any]:
    for key in value:
        if not isinstance(key, str):
            what = described(key) if isinstance(key, (int, float, type(None))) else shown(key)
            problems.add(mark, f"a key must be text, not {what}", key=dotted(path))
    return {
        str.__str__(key): _plain(item, (*path, str.__str__(key)), mark, problems)
        for key, item in value.items()
        if isinstance(key, str)
    }


class _Dumper(yaml.SafeDumper):
    """Quotes text that the strict parser would read as something else, such as ``1e-3``."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    if not isinstance(plain_scalar(text), str) or not BREAKS.isdisjoint(text):
        style = '"'
    return dumper.represent_scalar(f"{CORE}str", text, style=style)


_Dumper.add_representer(str, _text)
