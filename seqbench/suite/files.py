"""Reads a suite's file and the files it includes, and merges them into one tree."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqbench.suggest import suggested
from seqbench.suite.from_dict import yaml_text
from seqbench.suite.overrides import Override, with_overrides
from seqbench.suite.shipped import find_suite, is_path, shipped_names
from seqbench.suite.strict_yaml import (
    Mark,
    Node,
    Problems,
    compose,
    described,
    place_after,
    printable,
    shown,
)

MAX_BYTES = 256 * 1024

MAX_FILES = 50


#: Keys whose mapping names one of several alternatives: a different one replaces the mapping.
ALTERNATIVES = ("optimizer", "schedule", "loss")


#: Stands for the file of a suite that was given as a dictionary.
NO_FILE = "suite"


@dataclass(frozen=True)
class SuiteFile:
    """A suite's file as it was read, once, so that a run stores the text that it was planned from.

    Args:
        path: as given. Of a suite that was given as a dictionary: ``suite``, a name that no file
            needs to have, in the folder that its includes are relative to.
        text: what the file contained.
        root: the tree of the file merged over the files it includes; a mapping.
        files: number of files that were read.
        problems: those found so far.
        in_file: False if the suite was given as a dictionary.
    """

    path: Path
    text: str
    root: Node
    files: int
    problems: Problems
    in_file: bool = True

    @property
    def stem(self) -> str:
        """The file's name without its suffix: the name of a suite that gives none."""
        return self.path.stem

    def tree(self, overrides: Sequence[Override] = ()) -> tuple[Node, Problems]:
        """The tree with ``overrides`` (``"train.epochs=2"``) set in order, and all problems."""
        problems = self.problems.copy()
        return with_overrides(self.root, overrides, problems, self.files), problems


def read_suite(path: Path) -> SuiteFile:
    """Read a suite's file and the files it includes.

    Raises:
        SuiteError: a file cannot be read, is invalid YAML, or includes itself.
    """
    reader = _Reader()
    root = reader.file(path, str(path), (), Mark(printable(str(path))))
    return SuiteFile(path, reader.texts[path.resolve()], root, reader.order, reader.problems)


def suite_from_text(text: str, name: str, path: Path | None = None) -> SuiteFile:
    """Like :func:`read_suite`, from text.

    Args:
        name: used as file name in messages.
        path: the file that had this text; default: ``name`` in the working directory. Includes are
            relative to its folder.
    """
    reader = _Reader()
    folder = Path() if path is None else path.parent
    root = reader.document(text, reader.start(name), folder, ())
    return SuiteFile(path or Path(name), text, root, reader.order, reader.problems)


def suite_from_dict(suite: Mapping[str, Any]) -> SuiteFile:
    """Like :func:`read_suite`, from a dictionary with the same keys as the YAML.

    Includes are relative to the working folder. Messages name keys instead of lines.

    Raises:
        SuiteError: it holds what a suite cannot hold, or includes an invalid file.
    """
    reader = _Reader()
    mark = dataclasses.replace(reader.start(NO_FILE), line=0, column=0)
    text = yaml_text(suite, mark)
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        reader.problems.stop(mark, f"larger than {MAX_BYTES // 1024} KiB when written as YAML")
    root = reader.document(text, mark, Path(), ())
    return SuiteFile(Path(NO_FILE), text, root, reader.order, reader.problems, in_file=False)


def _without(node: Node, *keys: str) -> Node:
    if not isinstance(node.value, dict):
        return node
    children = {key: child for key, child in node.value.items() if key not in keys}
    return dataclasses.replace(node, value=children)


class _Reader:
    """Reads each file once, merges them, and numbers them in the order of reading."""

    def __init__(self) -> None:
        self.problems = Problems()
        self.order = 0
        self.texts: dict[Path, str] = {}
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
            text = self.texts[real] = self._text(path, name, asked)
            self.done[real] = self.document(text, self.start(name), path.parent, (*parents, real))
        return self.done[real]

    def document(self, text: str, start: Mark, folder: Path, parents: tuple[Path, ...]) -> Node:
        """The tree of a file's text, merged over the files it includes; ``start`` names it."""
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

    def _merged(self, base: Node, over: Node, name: str = "") -> Node:
        """``over`` merged over ``base``: mappings key by key, everything else replaced."""
        if not isinstance(base.value, dict) or not isinstance(over.value, dict):
            return over
        if name in (*ALTERNATIVES, "match") and base.value.keys() != over.value.keys():
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
            path = folder / item.value
            if item.value in shipped:
                path = find_suite(item.value)
            elif not is_path(item.value) and not os.path.lexists(path):
                message = suggested(f"unknown suite {shown(item.value)}", item.value, shipped)
                hint = f"for a file, write its name, as in {shown(f'{item.value}.yaml')}"
                self.problems.stop(item.mark, message, hint)
            yield path, item.mark

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
            mark = place_after(self.start(name), before)
            self.problems.stop(mark, "the file is not UTF-8 text", "save it as UTF-8")

    def start(self, name: str) -> Mark:
        """The first position of the next file."""
        mark = Mark(printable(name), 1, 1, self.order)
        self.order += 1
        return mark
