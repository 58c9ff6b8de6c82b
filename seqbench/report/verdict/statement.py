"""A statement of the verdict, and the words that several kinds of statements share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seqbench.report import numbers
from seqbench.report.names import MOST_NAMED
from seqbench.report.numbers import Estimate
from seqbench.report.text import label
from seqbench.report.verdict.standing import Rival

#: ``failed``: of trials or measurements; ``certain``: the subject is better than all others in the
#: primary metric, and ``uncertain``: it is not, or that cannot be known; ``plain``: others.
Kind = Literal["failed", "certain", "uncertain", "plain"]


@dataclass(frozen=True)
class Statement:
    """One topic of the verdict.

    Args:
        topic: a word such as ``Accuracy``.
        subject: the words to emphasize, at the start: usually the leading case.
        rest: the other words.
    """

    topic: str
    subject: str
    rest: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.topic}: {self.subject}{self.rest}"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; at most four, then ``and 3 more``."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def named(rivals: Sequence[Rival]) -> str:
    """The labels of cases."""
    return listed([label(rival.case) for rival in rivals])


def is_or_are(rivals: Sequence[object]) -> str:
    return "is" if len(rivals) == 1 else "are"


def times(value: float) -> str:
    """A factor: ``1.20×``, ``36×``, ``1,200×``."""
    return f"{value:.2f}×" if value < 10 else f"{numbers.figure(value, 2)}×"


def factor_interval(effect: Estimate) -> str:
    """``95 % CI 1.17–1.22``; "" without an interval."""
    if effect.low is None or effect.high is None:
        return ""
    for decimals in range(2 if effect.high < 10 else 1, 5):
        low, high = (f"{end:,.{decimals}f}" for end in (effect.low, effect.high))
        if low != high:
            break
    return f"95 % CI {low}–{high}"
