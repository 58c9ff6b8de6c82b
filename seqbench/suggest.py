"""What to show for an unknown name: the nearest known one, or those that exist.

Every "did you mean" of seqbench is made here. A message reads
``unknown model 'lsmt'; did you mean 'lstm'?``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Maximum number of names in a message.
MOST_NAMED = 20


def nearest(name: object, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The name in ``known`` that was probably meant, or ``""``. Case does not matter.

    That is the same name; one whose initials it has, as ``ce`` has those of ``cross_entropy``; a
    similar one; or one of whose words it is, as ``f1`` of ``macro_f1``.

    Args:
        cutoff: how similar it must be, from 0 to 1; short names need more than the default.
    """
    import difflib  # only messages need it

    names, text = list(dict.fromkeys(known)), str(name).casefold()
    lower = {other.casefold(): other for other in reversed(names)}
    if text in lower:
        return lower[text]
    words = {other: re.split(r"[_.: -]", other) for other in lower}
    initials = [other for other, parts in words.items() if _initials(parts) == text]
    near = difflib.get_close_matches(text, lower, n=1, cutoff=cutoff)
    part = [other for other, parts in words.items() if text in parts]
    return next((lower[other] for other in [*initials[-1:], *near, *part[-1:]]), "")


def _initials(words: list[str]) -> str:
    """``ce`` of ``cross_entropy``; ``""`` of a single word."""
    return "".join(word[:1] for word in words) if len(words) > 1 else ""


def did_you_mean(*names: str, where: str = "") -> str:
    """``did you mean 'lstm'?``; ``where`` tells equal names apart, as in ``at the top level``."""
    return f"did you mean {' or '.join(map(repr, names))}{where and ' '}{where}?"


def available(known: Iterable[str]) -> str:
    """``available: gru, lstm``, at most twenty names; ``""`` without any."""
    names = list(dict.fromkeys(known))
    more = [f"… ({len(names) - MOST_NAMED} more)"] if len(names) > MOST_NAMED else []
    return f"available: {', '.join([*names[:MOST_NAMED], *more])}" if names else ""


def suggestion(name: object, known: Iterable[str]) -> str:
    """The nearest name, else all names, else ``""``: what follows ``unknown model 'x'; ``."""
    names = list(known)
    near = nearest(name, names)
    return did_you_mean(near) if near else available(names)


def suggested(message: str, name: object, known: Iterable[str], more: str = "") -> str:
    """``message``, then the nearest name or those that exist.

    Args:
        message: such as ``unknown model 'x'``.
        more: where to find all names; added if no name is near.
    """
    names = list(known)
    near = nearest(name, names)
    hint = did_you_mean(near) if near else " ".join(filter(None, [available(names), more]))
    return f"{message}; {hint}" if hint else message
