"""Parses strict YAML into a tree of plain values, each with its position.

Scalars follow YAML 1.2's core schema, which has fewer surprises than PyYAML's own: ``1e-3`` is a
number, ``no`` and ``12:30`` are text. Ambiguous or dangerous features (duplicate keys, tags, merge
keys, exponentially growing aliases) are errors with their line.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import yaml

from seqbench.errors import Problem, SuiteError

MAX_NODES = 100_000

MAX_DEPTH = 50

MAX_SHOWN_PROBLEMS = 20

#: Characters of a whole number, its sign included.
LONGEST_INT = 19
SMALLEST_INT, LARGEST_INT = -(10 ** (LONGEST_INT - 1)) + 1, 10**LONGEST_INT - 1

Scalar: TypeAlias = "str | int | float | bool | None"

KeyPath: TypeAlias = "tuple[str | int, ...]"

CORE = "tag:yaml.org,2002:"

INT = re.compile(r"[-+]?[0-9]+")

FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)")

NAN = re.compile(r"\.(nan|NaN|NAN)")

WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

TAG_TYPES: dict[str, tuple[type, ...]] = {
    f"{CORE}str": (str,),
    f"{CORE}int": (int,),
    f"{CORE}float": (int, float),
    f"{CORE}bool": (bool,),
    f"{CORE}null": (type(None),),
    f"{CORE}seq": (list,),
    f"{CORE}map": (dict,),
}

SYNTAX_HINTS = {
    "\\t": "indent with spaces, not tabs",
    "mapping values are not allowed here": "check the line above: indentation, missing colon?",
    "expected ',' or": "missing bracket, comma or quote?",
    "expected <block end>": "is this line indented like its neighbors?",
    "could not find expected ':'": "missing colon, or missing space after it?",
}


@dataclass(frozen=True)
class Mark:
    """A position: lines and columns count from 1 (0: the whole file), ``order`` counts files."""

    file: str
    line: int = 0
    column: int = 0
    order: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Node:
    """A value with its position.

    Args:
        value: a scalar, a list of nodes, or a mapping of text to nodes.
        mark: position of the value.
        key: position of its key, if it has one.
        size, height: number of nodes in it, itself included; levels below it.
        broken: whether a problem with it was already reported, so that it needs no more checks.
    """

    value: Scalar | list[Node] | dict[str, Node]
    mark: Mark
    key: Mark | None = None
    size: int = 1
    height: int = 0
    broken: bool = False

    def plain(self) -> Any:
        """The value without marks."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def child(self, part: str | int) -> Node | None:
        """The value of a key of a mapping, or the item of a list with an index or name."""
        if isinstance(self.value, dict):
            return self.value.get(str(part))
        if isinstance(self.value, list):
            if isinstance(part, int):
                return self.value[part] if 0 <= part < len(self.value) else None
            return next((node for node in self.value if node.value == part), None)
        return None

    def chain(self, path: KeyPath) -> list[Node]:
        """This node and those below it along ``path``, as far as they exist."""
        nodes = [self]
        for part in path:
            below = nodes[-1].child(part)
            if below is None:
                break
            nodes.append(below)
        return nodes


class Problems:
    """The problems found so far, each with its position."""

    def __init__(self) -> None:
        self._found: dict[tuple[Mark, Problem], None] = {}

    def copy(self) -> Problems:
        """The same problems, to which more can be added."""
        new = Problems()
        new._found.update(self._found)
        return new

    def add(self, mark: Mark, message: str, hint: str = "", key: str = "") -> None:
        self._found[mark, Problem(str(mark), key, message, hint)] = None

    def __bool__(self) -> bool:
        return bool(self._found)

    def error(self) -> SuiteError:
        """All problems as one error, sorted by file and line, at most ``MAX_SHOWN_PROBLEMS``."""
        found = sorted(self._found, key=lambda one: (one[0].order, one[0].line, one[0].column))
        problems = [problem for _, problem in found]
        if len(problems) > MAX_SHOWN_PROBLEMS:
            more = len(problems) - MAX_SHOWN_PROBLEMS
            last = problems[MAX_SHOWN_PROBLEMS - 1].where
            problems = problems[:MAX_SHOWN_PROBLEMS]
            noun = "problem" if more == 1 else "problems"
            problems.append(Problem(last, "", f"and {more} more {noun} below"))
        return SuiteError(problems)

    def stop(self, mark: Mark, message: str, hint: str = "") -> NoReturn:
        """Add a problem that prevents further reading, and raise all problems."""
        self.add(mark, message, hint)
        raise self.error() from None


def shown(value: Any, most: int = 60) -> str:
    """``repr`` of a value from a file: at most ``most`` characters, no control characters."""
    # Avoids the repr of a long text or list, of which only the start is shown.
    text = repr(value[: most + 1] if isinstance(value, (str, list)) else value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def dotted(path: KeyPath) -> str:
    """A key path as in ``--set``, safe to print."""
    parts = [str(part) for part in path]
    return ".".join(
        part if part.isprintable() and len(part) <= 60 else shown(part) for part in parts
    )


def compose(text: str, start: Mark, problems: Problems) -> Node | None:
    """Parse the only document in ``text``; ``None`` if it has none.

    Args:
        start: names the file. With ``line=0`` the whole text counts as one position.
        problems: collects the problems that do not prevent further reading.

    Raises:
        SuiteError: invalid YAML.
    """
    return _Composer(text, start, problems).document()


class _Composer:
    """Builds the tree of one text from PyYAML's events, so that every node is checked first."""

    def __init__(self, text: str, start: Mark, problems: Problems):
        self.text, self.start, self.problems = text, start, problems
        self.at = start
        self.anchors: dict[str, Node] = {}
        self.count = 0

    def document(self) -> Node | None:
        """The only document; ``None`` if the text has none."""
        if "\0" in self.text:
            mark = place_after(self.start, self.text[: self.text.index("\0")])
            self.problems.stop(mark, "the file contains a NUL byte: it is not text")
        try:
            return self._document()
        except yaml.reader.ReaderError as error:
            mark = place_after(self.start, self.text[: error.position])
            self.problems.stop(mark, f"the character {shown(chr(error.character))} is not allowed")
        except yaml.MarkedYAMLError as error:
            place = error.problem_mark or error.context_mark
            mark = self._mark(place) if place else self.at
            problem = printable(error.problem or "invalid YAML")[:200]
            hint = next((hint for part, hint in SYNTAX_HINTS.items() if part in problem), "")
            self.problems.stop(mark, problem, hint)
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
            # Such as "\UFFFFFFFF", a character that does not exist.
            self.problems.stop(self.at, "invalid YAML")

    def _document(self) -> Node | None:
        self.events = yaml.parse(self.text, Loader=yaml.SafeLoader)
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    message = "a second document starts here: a suite must be a single document"
                    self.problems.stop(self._mark(event.start_mark), message)
                root = self._node(next(self.events), 0)
        return root

    def _node(self, event: Any, depth: int) -> Node:
        self.at = mark = self._mark(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, mark, depth)
        self._grow(mark, 1, depth)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, mark)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(mark, depth)
        else:
            node = self._mapping(mark, depth)
        node = self._checked_tag(event, node)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, mark: Mark, depth: int) -> Node:
        if event.anchor not in self.anchors:
            message = f"the alias {shown('*' + event.anchor)} has no anchor before it"
            self.problems.stop(mark, message)
        node = self.anchors[event.anchor]
        self._grow(mark, node.size, depth + node.height)
        return node

    def _grow(self, mark: Mark, size: int, depth: int) -> None:
        self.count += size
        if self.count > MAX_NODES:
            self.problems.stop(mark, f"the file expands to more than {MAX_NODES:,} values")
        if depth > MAX_DEPTH:
            self.problems.stop(mark, f"nested more than {MAX_DEPTH} levels deep")

    def _sequence(self, mark: Mark, depth: int) -> Node:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Node(items, mark, size=_size(items), height=_height(items))

    def _mapping(self, mark: Mark, depth: int) -> Node:
        children: dict[str, Node] = {}
        read: list[Node] = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self.events), depth + 1)
            read += [key, value]
            if self._good_key(key, event, children):
                assert isinstance(key.value, str)
                children[key.value] = dataclasses.replace(value, key=key.mark)
        return Node(children, mark, size=_size(read), height=_height(read))

    def _good_key(self, key: Node, event: Any, children: dict[str, Node]) -> bool:
        if key.broken:
            return False
        if not isinstance(key.value, str):
            self.problems.add(key.mark, f"a key must be text, not {described(key)}")
        elif key.value == "<<" and not getattr(event, "style", None):
            self.problems.add(key.mark, "merge keys (<<) are not supported", "write out the keys")
        elif key.value in children:
            message = f"duplicate key {shown(key.value)}"
            self.problems.add(key.mark, message, f"first at {children[key.value].key}")
        else:
            return True
        return False

    def _scalar(self, event: Any, mark: Mark) -> Node:
        text = event.value
        as_text = event.tag == f"{CORE}str" or (event.tag is None and not event.implicit[0])
        if as_text:
            value: Scalar = text
        elif INT.fullmatch(text) and len(text) > LONGEST_INT:
            return self._broken(mark, f"the whole number {shown(text)} is too large")
        else:
            value = plain_scalar(text)
        if isinstance(value, float) and not math.isfinite(value):
            return self._broken(mark, f"{shown(text)} is not a finite number")
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            return self._broken(mark, f"{shown(text)} is not valid Unicode")
        return Node(value, mark)

    def _checked_tag(self, event: Any, node: Node) -> Node:
        if event.tag is None or node.broken:
            return node
        if event.tag not in TAG_TYPES:
            message = f"the tag {shown(event.tag)} is not allowed: a suite is plain data"
            return dataclasses.replace(self._broken(node.mark, message), height=node.height)
        kinds = TAG_TYPES[event.tag]
        if type(node.value) not in kinds:
            tag = event.tag.removeprefix(CORE)
            return self._broken(node.mark, f"{described(node)} does not fit its tag !!{tag}")
        if event.tag == f"{CORE}float":
            return dataclasses.replace(node, value=float(node.value))  # type: ignore[arg-type]
        return node

    def _broken(self, mark: Mark, message: str) -> Node:
        self.problems.add(mark, message)
        return Node(None, mark, broken=True)

    def _mark(self, place: Any) -> Mark:
        if not self.start.line:
            return self.start
        return dataclasses.replace(self.start, line=place.line + 1, column=place.column + 1)


def place_after(start: Mark, before: str) -> Mark:
    """The position after the text ``before``."""
    if not start.line:
        return start
    line = before.count("\n") + 1
    return dataclasses.replace(start, line=line, column=len(before) - before.rfind("\n"))


def printable(text: str) -> str:
    """The text itself, or its ``repr`` if it contains control characters."""
    return text if text.isprintable() else shown(text, most=200)


def described(value: Any) -> str:
    """A value in words: ``text 'five'``, ``the number 5``, ``a list``, ``null``."""
    value = value.value if isinstance(value, Node) else value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {shown(value)}"
    if isinstance(value, str):
        return f"text {shown(value)}"
    return "a mapping" if isinstance(value, dict) else "a list"


def plain_scalar(text: str) -> Scalar:
    """A plain scalar by the core schema of YAML 1.2, except that ``0o17`` and ``0x1f`` are text."""
    if text in WORDS:
        return WORDS[text]
    if INT.fullmatch(text):
        return int(text)
    if FLOAT.fullmatch(text):
        return float(text.replace(".", "", 1) if text.lower().endswith("inf") else text)
    return math.nan if NAN.fullmatch(text) else text


def _size(nodes: list[Node]) -> int:
    return 1 + sum(node.size for node in nodes)


def _height(nodes: list[Node]) -> int:
    return 1 + max((node.height for node in nodes), default=0)
