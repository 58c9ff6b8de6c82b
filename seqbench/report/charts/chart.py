"""A chart: its specification, what it shows in words, and what a reader can choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

#: A path of keys and positions in a specification.
Path = tuple[str | int, ...]

#: A change to a specification: where, and the new value; without one, the key is removed.
Change = tuple[Path, tuple[Any, ...]]


@dataclass(frozen=True)
class Option:
    """One of the values that a choice has.

    Args:
        name: as in the fragment of the page's address and in ``seqbench plot --option x=NAME``.
        label: for people.
        note: a sentence about it, shown while it is chosen.
        sentence: takes the place of that of the chart while it is chosen.
    """

    name: str
    label: str
    note: str = ""
    sentence: str = ""


@dataclass(frozen=True)
class Choice:
    """Something that the reader of a chart can choose, such as the figure on an axis.

    Args:
        name: ``x``; label: ``horizontal axis``.
        options: the first is the default.
        changes: for each option, how the specification differs from the default.
    """

    name: str
    label: str
    options: tuple[Option, ...]
    changes: tuple[tuple[Change, ...], ...]


@dataclass(frozen=True)
class Chart:
    """One view of a run.

    Args:
        kind: its name, as in ``seqbench plot RUN KIND``.
        title: what it shows, in a few words.
        sentence: what one sees, in words made from the data, with the default of each choice.
        spec: Vega-Lite, with its data; without size, title and colors of text. Empty if there is
            nothing to draw.
        fields: the header of each field of the data, for the table that stands in for the chart.
        choices: what a reader can choose; their changes touch different parts of ``spec``.
        missing: why there is nothing to draw, and which file or setting would provide it.
        wide: whether it needs the whole width of a page.
        hint: how to read it.
    """

    kind: str
    title: str
    sentence: str
    spec: Spec
    fields: Mapping[str, str]
    choices: tuple[Choice, ...] = ()
    missing: str = ""
    wide: bool = False
    hint: str = ""

    def rows(self) -> list[dict[str, Any]]:
        """The data of the chart."""
        found: list[dict[str, Any]] = self.spec["data"]["values"] if self.spec else []
        return found


def absent(kind: str, title: str, why: str) -> Chart:
    """A chart without data."""
    return Chart(kind, title, "", {}, {}, missing=why)


def choice(
    name: str, label: str, options: Sequence[Option], draw: Callable[[int], Spec]
) -> tuple[Spec, Choice]:
    """The default specification, and the choice among ``options``.

    Args:
        draw: makes the specification of the option with that number.
    """
    base = draw(0)
    changes = tuple(
        tuple(differences(base, draw(number) if number else base)) for number in range(len(options))
    )
    return base, Choice(name, label, tuple(options), changes)


def differences(base: Any, other: Any, path: Path = ()) -> list[Change]:
    """What to change in ``base`` to get ``other``. Data are not compared: they have to be equal."""
    if path[-1:] == ("data",) or base == other:
        return []
    if isinstance(base, dict) and isinstance(other, dict):
        found: list[Change] = []
        for key in dict.fromkeys([*base, *other]):
            if key not in other:
                found.append(((*path, key), ()))
            elif key not in base:
                found.append(((*path, key), (other[key],)))
            else:
                found += differences(base[key], other[key], (*path, key))
        return found
    if isinstance(base, list) and isinstance(other, list) and len(base) == len(other):
        return [
            change
            for number, (one, two) in enumerate(zip(base, other, strict=True))
            for change in differences(one, two, (*path, number))
        ]
    return [(path, (other,))]


def changed(spec: Spec, changes: Sequence[Change]) -> Spec:
    """``spec`` with these changes; ``spec`` itself stays as it is."""
    for path, value in changes:
        spec = _changed(spec, path, value)
    return spec


def _changed(node: Any, path: Path, value: tuple[Any, ...]) -> Any:
    if not path:
        return value[0]
    key, *rest = path
    copy = node.copy()
    if rest or value:
        copy[key] = _changed(node[key] if rest else None, tuple(rest), value)
    else:
        del copy[key]
    return copy
