"""A column of a result table: one quantity of every case, and which figures are best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from seqbench.quantities import Better
from seqbench.report.numbers import Estimate, Unit

if TYPE_CHECKING:
    from seqbench.summary import schema

#: A run as one document. The definition is imported for type checking only.
Document: TypeAlias = "schema.Document"

Case = Mapping[str, Any]

Group = Literal["quality", "cost", "speed", "memory"]

#: Rank of a column that is only in full-precision exports.
EXPORT_ONLY = 99


@dataclass(frozen=True, kw_only=True)
class Column:
    """One quantity of every case of a table.

    Args:
        field: name in full-precision exports, without unit; "" excludes the column from them.
        si: the SI unit there, or "".
        header: three lines: the quantity, the setting it was measured at, the unit of ``texts``.
        group: columns of a group stay together if a table has to be split.
        estimates: one figure per case, in SI units; None where unavailable.
        texts: the same figures, rounded and without unit.
        more: whether more is better although no figure is marked (``better`` is None).
        unit: the unit of ``texts``; None if they are percentages or have no unit.
        better: whether higher or lower is better; None if neither, or if the uncertainty of the
            figures is unknown.
        interval: whether the figures have intervals, as far as the samples allow.
        resolution: figures without intervals that differ by at most this much count as equal.
        rivals: for each case the group that it is compared within; "" is not compared.
            Empty: all cases are compared.
        at: the settings of a latency, or of a fit over several lengths (``length`` is None).
        compared: quantity and settings of the pairwise comparisons behind ``letters``.
        test: the test behind ``letters``, if it is not the usual one of the quantity.
        letters: for each case its letters, ``""`` for none; None if the cases were not compared
            in pairs.
        rank: 0 is always shown; others only if there is room, the lowest first.
        importance: the order in which a single table is filled; equal ones by rank. 0: what the
            verdict is about; 1: usual; 2: all others.
    """

    field: str
    si: str
    header: tuple[str, str, str]
    group: Group
    estimates: tuple[Estimate | None, ...]
    texts: tuple[str, ...]
    more: bool = False
    unit: Unit | None = None
    better: Better | None = None
    interval: bool = False
    rank: int = 0
    importance: int = 2
    resolution: float = 0.0
    rivals: tuple[str, ...] = ()
    at: Mapping[str, Any] | None = None
    compared: tuple[str, Mapping[str, Any]] | None = None
    test: str = ""
    letters: tuple[str, ...] | None = None

    @property
    def higher_is_better(self) -> bool:
        """Which direction is better; for columns without a direction, lower counts as better."""
        return self.better == "higher" or self.more

    @property
    def best(self) -> tuple[bool, ...]:
        """Which figures are the best of their rivals, or not distinguishable from the best.

        With pairwise comparisons: those that share a letter with the best; none if the comparisons
        are missing. With intervals only:
        those whose interval overlaps that of the best; none if the best has no interval, since one
        seed proves nothing. Without intervals: those within ``resolution`` of the best. No figure
        is marked if fewer than two rivals have one, or if all of them would be.
        """
        found = {row for rows in self._groups() for row in self._best_of(rows)}
        return tuple(row in found for row in range(len(self.estimates)))

    @property
    def top(self) -> tuple[bool, ...]:
        """Which figures are the single best of their rivals."""
        found = {self._top_of(rows) for rows in self._groups() if self._best_of(rows)}
        return tuple(row in found for row in range(len(self.estimates)))

    def _groups(self) -> list[list[int]]:
        """The rows with a figure, one list for each group of rivals."""
        rivals = self.rivals or ("all",) * len(self.estimates)
        known = [row for row, estimate in enumerate(self.estimates) if estimate and rivals[row]]
        names = dict.fromkeys(rivals[row] for row in known)
        return [[row for row in known if rivals[row] == name] for name in names]

    def _top_of(self, rows: Sequence[int]) -> int:
        sign = 1 if self.better == "higher" else -1
        return max(rows, key=lambda row: sign * self._estimate(row).value)

    def _best_of(self, rows: Sequence[int]) -> list[int]:
        best = self._not_worse(rows)
        return best if len(best) < len(rows) else []

    def _not_worse(self, rows: Sequence[int]) -> list[int]:
        """The best, and those not distinguishable from it, even if these are all."""
        if self.better is None or len(rows) < 2:
            return []
        if self.compared is not None and self.letters is None:
            return []
        if self.letters is not None:
            best = set(self.letters[self._top_of(rows)])
            return [row for row in rows if best & set(self.letters[row])]
        top = self._estimate(self._top_of(rows))
        if not self.interval:
            return [r for r in rows if abs(self._estimate(r).value - top.value) <= self.resolution]
        if top.half_width is None:
            return []
        return [row for row in rows if _overlap(self._estimate(row), top)]

    def _estimate(self, row: int) -> Estimate:
        estimate = self.estimates[row]
        assert estimate is not None  # rows come from _groups
        return estimate


def _overlap(a: Estimate, b: Estimate) -> bool:
    def bounds(e: Estimate) -> tuple[float, float]:
        return (e.value if e.low is None else e.low, e.value if e.high is None else e.high)

    (a_low, a_high), (b_low, b_high) = bounds(a), bounds(b)
    return a_low <= b_high and b_low <= a_high


#: Makes the columns of a quantity from the cases of a table and the whole document (see
#: :class:`seqbench.quantities.Quantity`).
Builder = Callable[[Sequence[Case], Document], Iterable[Column]]
