"""Grids: parameters for which a suite lists several values."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from seqbench.plugins.parameters import completed, is_grid
from seqbench.types import Param

#: The values of every declared parameter.
Axes: TypeAlias = "dict[str, list[Any]]"

#: The same, with each value as a hashable key.
Keys: TypeAlias = "dict[str, frozenset[str]]"


def axes(given: Mapping[str, Any], declared: Mapping[str, Param]) -> Axes:
    """The values of every declared parameter: those given, or only its default."""
    axes_of = {}
    for name, param in declared.items():
        values = given.get(name, param.default)
        if name not in given or not is_grid(values, param):
            values = [values]
        axes_of[name] = [completed({name: value}, {name: param})[name] for value in values]
    return axes_of


def size(of: Axes) -> int:
    """The number of combinations, without generating them."""
    return math.prod(len(values) for values in of.values())


def combinations(of: Axes) -> Iterator[dict[str, Any]]:
    """Every combination; the last parameter varies fastest."""
    for values in itertools.product(*of.values()):
        yield dict(zip(of, values, strict=True))


def key(value: Any) -> str:
    """Equal only for equal plain values; ``1``, ``1.0`` and ``true`` differ."""
    return json.dumps(value, sort_keys=True)


def keys(of: Axes) -> Keys:
    """The keys of the values of every parameter."""
    return {name: frozenset(map(key, values)) for name, values in of.items()}


def overlap(first: Keys, second: Keys) -> bool:
    """Whether two grids of one plugin have a combination in common."""
    return all(not first[name].isdisjoint(second[name]) for name in first)
