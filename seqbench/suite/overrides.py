"""Sets single values in the tree of a suite: ``--set train.epochs=2``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from seqbench.suite.seed_kinds import SEEDED, varied_kind
from seqbench.suite.strict_yaml import (
    MAX_DEPTH,
    KeyPath,
    Mark,
    Node,
    Problems,
    compose,
    described,
    dotted,
    printable,
    shown,
)


@dataclass(frozen=True)
class Option:
    """A key that an option of the command line sets, other than ``--set``.

    Args:
        values: one for each time that the option was given; each is named in messages as
            ``--device gpu``.
        several: whether the key takes a list.
    """

    key: str
    option: str
    values: tuple[str | int, ...]
    several: bool = True


Override: TypeAlias = "str | Option"


def with_overrides(
    root: Node, overrides: Sequence[Override], problems: Problems, order: int
) -> Node:
    """``root`` with each ``KEY=VALUE`` and each option set, in order.

    Args:
        problems: collects the problems of the overrides.
        order: number of the first override among the files that were read, for sorting.

    Raises:
        SuiteError: a value is invalid YAML.
    """
    for number, override in enumerate(overrides, order):
        if isinstance(override, Option):
            root = _with(root, _path(override, root), _node(override, number), (), problems)
            continue
        mark = Mark(printable(f"--set {override}"), 0, 1, number)
        keys, equals, text = override.partition("=")
        path = tuple(keys.strip().split("."))
        if not equals or not all(path) or len(path) > MAX_DEPTH:
            problems.add(mark, "not of the form KEY=VALUE", "as in --set train.epochs=2")
            continue
        value = compose(text, mark, problems) or Node(None, mark)
        root = _with(root, path, dataclasses.replace(value, key=mark), (), problems)
    return root


def _path(option: Option, root: Node) -> tuple[str, ...]:
    """Where an option sets its key: of seeds of two kinds, those that vary; the others stay."""
    given = root.plain().get(option.key) if isinstance(root.value, dict) else None
    if option.key == "seeds" and isinstance(given, dict) and not set(given) - set(SEEDED):
        return option.key, varied_kind(given)
    return (option.key,)


def _node(option: Option, order: int) -> Node:
    """The value of an option; each item is marked with the words that set it."""
    items = [
        Node(value, Mark(printable(f"{option.option} {value}"), 0, place, order))
        for place, value in enumerate(option.values, 1)
    ]
    if not option.several:
        return dataclasses.replace(items[0], key=items[0].mark)
    mark = Mark(option.option, 0, 1, order)
    return Node(items, mark, mark)


def _with(
    node: Node, path: tuple[str, ...], value: Node, done: KeyPath, problems: Problems
) -> Node:
    """``node`` with ``value`` at ``path``; unchanged, after adding a problem, if impossible."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(node.value, list):
        index = _index(node.value, first, value.mark, done, problems)
        if index is None:
            return node
        items = list(node.value)
        items[index] = _with(items[index], rest, value, (*done, index), problems)
        return dataclasses.replace(node, value=items)
    if isinstance(node.value, dict) or node.value is None:
        children = dict(node.value or {})
        below = children.get(first) or Node(None, value.mark, value.mark)
        children[first] = _with(below, rest, value, (*done, first), problems)
        return dataclasses.replace(node, value=children)
    message = f"{dotted(done)} is {described(node)}: it has no keys to set"
    problems.add(value.mark, message, "set the whole value, as in --set 'models=[rnn, gru]'")
    return node


def _index(
    items: list[Node], text: str, mark: Mark, done: KeyPath, problems: Problems
) -> int | None:
    if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) < len(items):
        return int(text)
    message = f"{dotted(done)} is a list and has no item {shown(text)}"
    hint = f"items are 0 to {len(items) - 1}" if items else "it is empty"
    if any(item.value == text for item in items):
        hint = f"write {dotted(done)} as a mapping, with `{text}:`, to set keys in it"
    problems.add(mark, message, hint)
    return None
