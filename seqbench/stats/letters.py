"""Compact letter display."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from string import ascii_letters

#: How many sets :func:`letters` holds at a time before it gives up.
MOST_SETS = 2 * len(ascii_letters)


def letter_display(
    n: int, different: Collection[tuple[int, int]], order: Sequence[int]
) -> list[str]:
    """Compact letter display: items share a letter exactly if they are not told apart.

    Insert and absorb, after Piepho 2004: all items begin in one set; each pair that differs
    splits every set that holds both in two, and sets within another are dropped. Each set that
    remains is a letter.

    Args:
        n: number of items.
        different: the pairs that are told apart, in any order.
        order: all items, the best first: it gets ``a``.

    Returns:
        For each item its letters; empty texts if there are more groups than letters.
    """
    place = {item: number for number, item in enumerate(order)}
    # The best against all others first, then the next: so there are never many sets.
    sets = [frozenset(range(n))] if n else []
    for one, other in sorted(different, key=lambda pair: sorted(place[item] for item in pair)):
        split = {
            part
            for held in sets
            for part in ((held - {one}, held - {other}) if {one, other} <= held else (held,))
        }
        sets = [held for held in split if not any(held < larger for larger in split)]
        if len(sets) > MOST_SETS:
            return [""] * n
    sets.sort(key=lambda held: sorted(place[item] for item in held))
    if len(sets) > len(ascii_letters):
        return [""] * n
    named = list(zip(ascii_letters, sets, strict=False))
    return ["".join(letter for letter, held in named if item in held) for item in range(n)]
