"""Letters of a column, from pairwise comparisons: which cases are not distinguishable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqbench.stats.letters import letter_display
from seqbench.summary.metric_pairs import TOO_FEW

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Grouping:
    """For each case of a table its letters, and the group of cases that it was compared with.

    Both are ``""`` for a case that was not compared, or that is not distinguishable from any case
    of its group.
    """

    letters: tuple[str, ...]
    rivals: tuple[str, ...]


def grouping(
    cases: Sequence[Mapping[str, Any]],
    comparisons: Iterable[Found],
    quantity: str,
    settings: Mapping[str, Any],
    order: Sequence[int],
) -> Grouping | None:
    """Assign letters to the cases in one quantity.

    Cases that were compared, directly or through others, form a group whose letters start at
    ``a``; usually these are the cases of one device. A pair that was not compared counts as not
    distinguishable.

    Args:
        cases: the rows of a table.
        comparisons: as in the document.
        settings: the settings of the quantity; comparisons at other settings are ignored.
        order: the rows that have a figure, best first.

    Returns:
        None if the cases were not compared in pairs, or if there are more groups than letters.
    """
    rows = {cases[row]["id"]: row for row in order}
    of_table = [each for each in comparisons if each["a"] in rows and each["b"] in rows]
    found = at_settings(of_table, quantity, settings)
    if not found:
        return None
    names = [""] * len(cases)
    if all(each["verdict"] in TOO_FEW for each in found):
        return Grouping(tuple(names), tuple(names))
    letters, rivals = list(names), list(names)
    for component in _components([(rows[each["a"]], rows[each["b"]]) for each in found]):
        members = [row for row in order if row in component]
        different = {
            (members.index(rows[each["a"]]), members.index(rows[each["b"]]))
            for each in found
            if each["verdict"] in ("better", "worse") and rows[each["a"]] in component
        }
        named = letter_display(len(members), different, range(len(members)))
        if not all(named):
            return None
        if not different:  # all would share one
            continue
        for row, text in zip(members, named, strict=True):
            letters[row], rivals[row] = text, f"compared with row {members[0]}"
    return Grouping(tuple(letters), tuple(rivals))


def at_settings(
    comparisons: Iterable[Found], quantity: str, settings: Mapping[str, Any]
) -> list[Found]:
    """The comparisons in ``quantity`` at the first settings that match ``settings``."""
    found = [
        each
        for each in comparisons
        if each["quantity"] == quantity
        and all(each["settings"].get(name) == value for name, value in settings.items())
    ]
    return [each for each in found if each["settings"] == found[0]["settings"]]


def _components(pairs: Iterable[tuple[int, int]]) -> list[set[int]]:
    """The rows connected by ``pairs``, as connected components."""
    found: list[set[int]] = []
    for pair in pairs:
        joined = set(pair).union(*(part for part in found if not part.isdisjoint(pair)))
        found = [part for part in found if part.isdisjoint(pair)] + [joined]
    return found
