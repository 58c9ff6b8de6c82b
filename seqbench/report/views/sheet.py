"""A view of a run as data, from which the terminal and every export format are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table of a view.

    Args:
        title: what it shows.
        unit: of ``texts``, and what else their title says; records have SI units.
        headers, texts: for people: rounded, with units.
        sides: for each column ``l`` (text) or ``r`` (figures), as in LaTeX.
        optional: columns to leave out where there is too little room, in this order.
        lead: if the columns may be divided over several tables where there is too little room: how
            many of the first ones, of text, are then repeated. 0: they may not.
        decimal: whether figures are aligned at their decimal points.
        weak: the rows of ``texts`` that matter less.
        records: for programs: the same figures in full precision and SI units; ``None`` where a
            figure is unavailable.
        notes: why figures are unavailable.
    """

    title: str
    headers: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    records: tuple[Mapping[str, Any], ...]
    sides: str
    unit: str = ""
    optional: tuple[str, ...] = ()
    lead: int = 0
    decimal: bool = False
    weak: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """The title with the unit, for people."""
        return self.title + self.unit


@dataclass(frozen=True)
class View:
    """A view of a run.

    Args:
        name: as in ``seqbench show --pairs``.
        run: the run's folder.
        notes: how to read the tables, or why there are none.
    """

    name: str
    run: str
    sheets: tuple[Sheet, ...]
    notes: tuple[str, ...] = ()
