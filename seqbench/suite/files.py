"""Merges a suite's file, the files it includes and overrides into one tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from seqbench.suite.shipped import find_suite, shipped_names
from seqbench.suite.strict_yaml import (
    MAX_DEPTH,
    KeyPath,
    Mark,
    Node,
    Problems,
    compose,
    described,
    dotted,
    place_after,
    printable,
    shown,
)

MAX_BYTES = 256 * 1024

MAX_FILES = 50


def read_tree(
    path: Path, overrides: Sequence[str] = (), *, alternatives: Collection[str] = ()
) -> tuple[Node, Problems]:
    """Read a file, merge its includes and apply ``overrides`` (``"train.epochs=2"``).

    Args:
        alternatives: keys whose mapping names one of several alternatives. Merging a different
            alternative replaces the mapping.

    Returns:
        The tree, whose root is a mapping, and the problems found so far.

    Raises:
        SuiteError: a file cannot be read, is invalid YAML, or includes itself.
    """
    reader = _Reader(alternatives)
    root = reader.file(path, str(path), (), Mark(printable(str(path))))
    return reader.overridden(root, overrides), reader.problems


def read_tree_text(
    text: str, name: str, overrides: Sequence[str] = (), *, alternatives: Collection[str] = ()
) -> tuple[Node, Problems]:
    """Like :func:`read_tree`, from text; includes are relative to the working directory."""
    reader = _Reader(alternatives)
    root = reader.document(text, name, Path(), ())
    return reader.overridden(root, overrides), reader.problems


def _without(node: Node, *keys: str) -> Node:
    if not isinstance(node.value, dict):
        return node
    children = {key: child for key, child in node.value.items() if key not in keys}
    return dataclasses.replace(node, value=children)


class _Reader:
    """Reads each file once, merges them, and numbers them in the order of reading."""

    def __init__(self, alternatives: Collection[str]):
        self.problems = Problems()
        self.alternatives = alternatives
        self.order = 0
        self.done: dict[Path, Node] = {}

    def file(self, path: Path, name: str, parents: tuple[Path, ...], asked: Mark) -> Node:
        """The tree of a file; ``asked`` is the place that includes it."""
        try:
            real = path.resolve()
        except (OSError, ValueError, RuntimeError):  # a loop of links raises RuntimeError
            self.problems.stop(asked, f"cannot read {shown(name, 200)}: invalid file name")
        if real in parents:
            self.problems.stop(asked, f"{shown(name, 200)} includes itself")
        if real not in self.done:
            if self.order >= MAX_FILES:
                self.problems.stop(asked, f"more than {MAX_FILES} files are included")
            text = self._text(path, name, asked)
            self.done[real] = self.document(text, name, path.parent, (*parents, real))
        return self.done[real]

    def document(self, text: str, name: str, folder: Path, parents: tuple[Path, ...]) -> Node:
        """The tree of a file's text, merged over the files it includes."""
        start = self._start(name)
        root = compose(text, start, self.problems)
        if root is None or root.value is None:
            self.problems.stop(start, "the file is empty")
        if not isinstance(root.value, dict):
            message = f"a suite must be a mapping, not {described(root)}"
            self.problems.stop(root.mark, message)
        own = dict(root.value)
        include = own.pop("include", None)
        # Name and notes of a base suite are not those of the suites that include it.
        layers = [
            _without(self.file(path, str(path), parents, mark), "name", "notes")
            for path, mark in (self._included(include, folder) if include else ())
        ]
        layers.append(dataclasses.replace(root, value=own))
        merged = layers[0]
        for layer in layers[1:]:
            merged = self._merged(merged, layer)
        return merged

    def overridden(self, root: Node, overrides: Sequence[str]) -> Node:
        """``root`` with each ``KEY=VALUE`` set, in order."""
        for override in overrides:
            mark = self._start(f"--set {override}", line=0)
            keys, equals, text = override.partition("=")
            path = tuple(keys.strip().split("."))
            if not equals or not all(path) or len(path) > MAX_DEPTH:
                hint = "as in --set train.epochs=2"
                self.problems.add(mark, "not of the form KEY=VALUE", hint)
                continue
            value = compose(text, mark, self.problems) or Node(None, mark)
            root = self._with(root, path, dataclasses.replace(value, key=mark), ())
        return root

    def _with(self, node: Node, path: tuple[str, ...], value: Node, done: KeyPath) -> Node:
        """``node`` with ``value`` at ``path``; unchanged, after adding a problem, if impossible."""
        if not path:
            return value
        first, rest = path[0], path[1:]
        if isinstance(node.value, list):
            index = self._index(node.value, first, value.mark, done)
            if index is None:
                return node
            items = list(node.value)
            items[index] = self._with(items[index], rest, value, (*done, index))
            return dataclasses.replace(node, value=items)
        if isinstance(node.value, dict) or node.value is None:
            children = dict(node.value or {})
            below = children.get(first) or Node(None, value.mark, value.mark)
            children[first] = self._with(below, rest, value, (*done, first))
            return dataclasses.replace(node, value=children)
        message = f"{dotted(done)} is {described(node)}: it has no keys to set"
        self.problems.add(
            value.mark, message, "set the whole value, as in --set 'models=[rnn, gru]'"
        )
        return node

    def _index(self, items: list[Node], text: str, mark: Mark, done: KeyPath) -> int | None:
        if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) < len(items):
            return int(text)
        message = f"{dotted(done)} is a list and has no item {shown(text)}"
        hint = f"items are 0 to {len(items) - 1}" if items else "it is empty"
        if any(item.value == text for item in items):
            hint = f"write {dotted(done)} as a mapping, with `{text}:`, to set keys in it"
        self.problems.add(mark, message, hint)
        return None

    def _merged(self, base: Node, over: Node, name: str = "") -> Node:
        """``over`` merged over ``base``: mappings key by key, everything else replaced."""
        if not isinstance(base.value, dict) or not isinstance(over.value, dict):
            return over
        if name in self.alternatives and base.value.keys() != over.value.keys():
            return over
        children = dict(base.value)
        for key, node in over.value.items():
            children[key] = self._merged(children[key], node, key) if key in children else node
        return dataclasses.replace(over, value=children)

    def _included(self, node: Node, folder: Path) -> Iterator[tuple[Path, Mark]]:
        """Each file that is included, by the name of a shipped suite or relative to ``folder``."""
        shipped = shipped_names()
        for item in node.value if isinstance(node.value, list) else [node]:
            if not isinstance(item.value, str) or not item.value:
                message = (
                    f"include must be a file name or a list of file names, not {described(item)}"
                )
                self.problems.stop(item.mark, message)
            known = item.value in shipped
            yield find_suite(item.value) if known else folder / item.value, item.mark

    def _text(self, path: Path, name: str, asked: Mark) -> str:
        try:
            if path.exists() and not path.is_file():
                self.problems.stop(asked, f"{shown(name, 200)} is not a file")
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            self.problems.stop(asked, f"cannot read {shown(name, 200)}: {error.strerror}")
        if len(data) > MAX_BYTES:
            self.problems.stop(asked, f"{shown(name, 200)} is larger than {MAX_BYTES // 1024} KiB")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = data[: error.start].decode("utf-8", "replace")
            mark = place_after(self._start(name), before)
            self.problems.stop(mark, "the file is not UTF-8 text", "save it as UTF-8")

    def _start(self, name: str, line: int = 1) -> Mark:
        mark = Mark(printable(name), line, 1, self.order)
        self.order += 1
        return mark
