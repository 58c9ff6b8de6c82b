"""What to show for an unknown name: the nearest known one, or those that exist.

Every "did you mean" of seqbench is made here. A message reads
``unknown model 'lsmt'; did you mean 'lstm'?``.
"""

from __future__ import annotations

from collections.abc import Iterable

#: Maximum number of names in a message.
MOST_NAMED = 20


def nearest(name: object, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The name in ``known`` that was probably meant, or ``""``.

    Args:
        cutoff: how similar it must be, from 0 to 1; short names need more than the default.
    """
    import difflib  # only messages need it

    names, text = list(dict.fromkeys(known)), str(name)
    same = [other for other in names if other.casefold() == text.casefold()]
    lower = {other.casefold(): other for other in reversed(names)}
    near = difflib.get_close_matches(text.casefold(), lower, n=1, cutoff=cutoff)
    return next(iter([*same, *(lower[other] for other in near)]), "")


def did_you_mean(*names: str) -> str:
    """``did you mean 'lstm'?``"""
    return f"did you mean {' or '.join(map(repr, names))}?"


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
