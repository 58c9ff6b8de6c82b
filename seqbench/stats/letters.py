"""Assigns letters to groups that do not differ significantly (compact letter display)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from string import ascii_letters

#: :func:`letter_display` gives up if it needs more sets than this at a time.
MOST_SETS = 2 * len(ascii_letters)


def letter_display(
    n: int, different: Collection[tuple[int, int]], order: Sequence[int]
) -> list[str]:
    """Compact letter display: two items share a letter if and only if they do not differ.

    Insert and absorb, after Piepho 2004: all items start in one set; each pair that differs
    splits every set that contains both, and subsets of other sets are dropped. Each remaining
    set is a letter.

    Args:
        n: number of items.
        different: the pairs that differ, in any order.
        order: all items, best first; the first gets ``a``.

    Returns:
        The letters of each item; empty strings if there are more groups than letters.
    """
    place = {item: number for number, item in enumerate(order)}
    # Pairs with the best item first, then with the next: this keeps the number of sets small.
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
