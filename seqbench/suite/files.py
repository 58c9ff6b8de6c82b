"""A suite's file, what it includes and what the command line sets, put together as one tree."""

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
    """The file with all it includes and with ``overrides`` (``"train.epochs=2"``) applied.

    Args:
        alternatives: keys whose mapping holds one choice out of several. Merging another choice
            into such a mapping replaces it.

    Returns:
        The tree, whose root is a mapping, and the problems that did not stop the reading.

    Raises:
        SuiteError: a file cannot be read, is not YAML, or includes itself.
    """
    reader = _Reader(alternatives)
    root = reader.file(path, str(path), (), Mark(printable(str(path))))
    return reader.overridden(root, overrides), reader.findings


def read_tree_text(
    text: str, name: str, overrides: Sequence[str] = (), *, alternatives: Collection[str] = ()
) -> tuple[Node, Problems]:
    """As :func:`read`, from a text called ``name``; includes are looked for in the work folder."""
    reader = _Reader(alternatives)
    root = reader.document(text, name, Path(), ())
    return reader.overridden(root, overrides), reader.findings


def _without(node: Node, *keys: str) -> Node:
    if not isinstance(node.value, dict):
        return node
    children = {key: child for key, child in node.value.items() if key not in keys}
    return dataclasses.replace(node, value=children)


class _Reader:
    """Reads each file once, merges, and numbers the files in the order they come."""

    def __init__(self, alternatives: Collection[str]):
        self.findings = Problems()
        self.alternatives = alternatives
        self.order = 0
        self.done: dict[Path, Node] = {}

    def file(self, path: Path, name: str, parents: tuple[Path, ...], asked: Mark) -> Node:
        """The tree of a file; ``asked`` is the place that names it."""
        try:
            real = path.resolve()
        except (OSError, ValueError, RuntimeError):  # a loop of links raises RuntimeError
            self.findings.stop(asked, f"cannot read {shown(name, 200)}: not a usable file name")
        if real in parents:
            self.findings.stop(asked, f"{shown(name, 200)} includes itself")
        if real not in self.done:
            if self.order >= MAX_FILES:
                self.findings.stop(asked, f"more than {MAX_FILES} files are included")
            text = self._text(path, name, asked)
            self.done[real] = self.document(text, name, path.parent, (*parents, real))
        return self.done[real]

    def document(self, text: str, name: str, folder: Path, parents: tuple[Path, ...]) -> Node:
        """The tree of a file's text, laid over the files it includes."""
        start = self._start(name)
        root = compose(text, start, self.findings)
        if root is None or root.value is None:
            self.findings.stop(start, "the file is empty")
        if not isinstance(root.value, dict):
            message = f"a suite is a mapping of keys to values, not {described(root)}"
            self.findings.stop(root.mark, message)
        own = dict(root.value)
        include = own.pop("include", None)
        # What names a base does not name what is built on it.
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
                self.findings.add(mark, "this is not of the form KEY=VALUE", hint)
                continue
            value = compose(text, mark, self.findings) or Node(None, mark)
            root = self._with(root, path, dataclasses.replace(value, key=mark), ())
        return root

    def _with(self, node: Node, path: tuple[str, ...], value: Node, done: KeyPath) -> Node:
        """``node`` with ``value`` at ``path`` below it; the node as it was where that cannot be."""
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
        message = f"{dotted(done)} is {described(node)}: there is nothing in it to set"
        self.findings.add(value.mark, message, "set it as a whole, as in --set 'models=[rnn, gru]'")
        return node

    def _index(self, items: list[Node], text: str, mark: Mark, done: KeyPath) -> int | None:
        if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) < len(items):
            return int(text)
        message = f"{dotted(done)} is a list and has no item {shown(text)}"
        hint = f"items are 0 to {len(items) - 1}" if items else "it is empty"
        if any(item.value == text for item in items):
            hint = f"write {dotted(done)} as a mapping, with `{text}:`, to reach into it"
        self.findings.add(mark, message, hint)
        return None

    def _merged(self, base: Node, over: Node, name: str = "") -> Node:
        """``over`` laid on ``base``: mappings key by key, everything else replaced."""
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
                message = f"include must be a file name or a list of them, not {described(item)}"
                self.findings.stop(item.mark, message)
            known = item.value in shipped
            yield find_suite(item.value) if known else folder / item.value, item.mark

    def _text(self, path: Path, name: str, asked: Mark) -> str:
        try:
            if path.exists() and not path.is_file():
                self.findings.stop(asked, f"{shown(name, 200)} is not a file")
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            self.findings.stop(asked, f"cannot read {shown(name, 200)}: {error.strerror}")
        if len(data) > MAX_BYTES:
            self.findings.stop(asked, f"{shown(name, 200)} is larger than {MAX_BYTES // 1024} KiB")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = data[: error.start].decode("utf-8", "replace")
            mark = place_after(self._start(name), before)
            self.findings.stop(mark, "the file is not UTF-8 text", "save it in the encoding UTF-8")

    def _start(self, name: str, line: int = 1) -> Mark:
        mark = Mark(printable(name), line, 1, self.order)
        self.order += 1
        return mark
