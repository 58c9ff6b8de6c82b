"""The figures of cases that a chart can have on an axis: the columns of the result table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seqbench.report import numbers
from seqbench.report.charts.source import Group, is_sound
from seqbench.report.columns.column import EXPORT_ONLY, Case, Column
from seqbench.report.numbers import Estimate

#: A linear axis is used if the largest figure is less than so many times the smallest.
WIDE = 3.0

#: The column of the size of the weights file is only in exports.
EXPORTED = ("serialized",)

#: Starts of the fields of columns that are no figures of a model.
NO_AXES = ("reference_", "difference_", "seeds_")

#: The size of a percent, for columns of fractions.
PERCENT = 0.01


@dataclass(frozen=True)
class Axis:
    """A column as an axis.

    Args:
        field: prefix of its fields in the data: ``<field>``, ``<field>_low``, ``<field>_high``,
            ``<field>_text`` and ``<field>_cost``, in which lower is better; the last is missing if
            the figure is not to be compared.
    """

    column: Column
    field: str = ""

    @property
    def name(self) -> str:
        """``latency, batch 1``."""
        return ", ".join(filter(None, self.column.header[:2]))

    @property
    def unit(self) -> str:
        """The unit shown: ``µs``, ``%``, ``bits``, or ""."""
        if self.column.unit is not None:
            return self.column.unit.name
        return self.column.header[2].partition("(±")[0].strip()

    @property
    def factor(self) -> float:
        """The size of the unit in SI units."""
        if self.column.unit is not None:
            return self.column.unit.factor
        return PERCENT if self.unit == "%" else 1.0

    @property
    def title(self) -> str:
        """``latency, batch 1 (µs)``."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def log(self) -> bool:
        """Whether a logarithmic axis shows the figures better."""
        values = [e.value for e in self.column.estimates if e and math.isfinite(e.value)]
        if self.unit == "%" or not values or min(values) <= 0:
            return False
        return max(values) > WIDE * min(values)

    def figures(self, group: Group, case: Case) -> dict[str, Any]:
        """The fields of one case; None where a figure is missing."""
        estimate = group.estimate(self.column, case)
        if estimate is None or not math.isfinite(estimate.value):
            return {self.field: None, f"{self.field}_text": numbers.NOT_AVAILABLE}
        value = estimate.value / self.factor
        found = {self.field: value, f"{self.field}_text": self.text(group, case)}
        if is_sound(case) and not self.lower_bound(case):
            found[f"{self.field}_cost"] = -value if self.column.higher_is_better else value
        found[f"{self.field}_least"] = self.range(group.row(case), case)[0]
        bounds = self.drawn_bounds(estimate)
        if bounds is not None:
            found |= {f"{self.field}_low": bounds[0], f"{self.field}_high": bounds[1]}
        return found

    def drawn_bounds(self, estimate: Estimate) -> tuple[float, float] | None:
        """The interval as drawn: on a logarithmic axis, one that reaches zero ends at the edge."""
        bounds, floor = self.bounds(estimate), self.floor
        if bounds is None or floor is None:
            return bounds
        return max(bounds[0], floor), bounds[1]

    def bounds(self, estimate: Estimate) -> tuple[float, float] | None:
        """The 95 % interval in the unit of the axis, within what is possible: a fraction lies
        between 0 and 1, and an error is not negative. None without an interval.
        """
        low, high = estimate.low, estimate.high
        if low is None or high is None:
            return None
        if self.unit == "%":
            low, high = max(0.0, low), min(1.0, high)
        elif self.column.group == "quality" and not self.column.higher_is_better:
            low = max(0.0, low) if estimate.value >= 0 else low
        return low / self.factor, high / self.factor

    @property
    def ends(self) -> dict[str, float]:
        """The lower end of a logarithmic scale, as a property of Vega-Lite; empty if it is free."""
        return {} if self.floor is None else {"domainMin": self.floor}

    @property
    def floor(self) -> float | None:
        """The lower end of a logarithmic axis, if an interval reaches down to zero: half of the
        smallest figure. None if the axis needs none.
        """
        found = [e for e in self.column.estimates if e and math.isfinite(e.value)]
        bounds = [one for e in found if (one := self.bounds(e))]
        if not self.log or all(low > 0 for low, _ in bounds):
            return None
        ends = [e.value / self.factor for e in found] + [low for low, _ in bounds if low > 0]
        return min(ends) / 2

    def range(self, row: int, case: Case) -> tuple[float | None, float | None]:
        """Where the true figure may lie, in the unit of the axis: of a latency the 95 % interval,
        of memory the passes and the resolution of its measurement. None if it is unknown.
        """
        estimate = self.column.estimates[row]
        if estimate is None:
            return None, None
        value = estimate.value
        low, high = (value if end is None else end for end in (estimate.low, estimate.high))
        if self.column.group == "memory":
            mode = self.column.field.removeprefix("memory_")
            passes = ((case["memory"] or {}).get("breakdown") or {}).get(mode) or {}
            low = min(low, passes.get("low", low)) - self.column.resolution
            high = max(high, passes.get("high", high)) + self.column.resolution
            if self.lower_bound(case):
                return value / self.factor, None
        elif estimate.high is None:
            return value / self.factor, None
        return max(0.0, low) / self.factor, high / self.factor

    def lower_bound(self, case: Case) -> bool:
        """Whether the true figure may be higher: a peak of memory that an earlier one hides."""
        memory = case["memory"] or {}
        return self.column.group == "memory" and bool(memory.get("lower_bound"))

    def text(self, group: Group, case: Case) -> str:
        """The figure as in the table, with its unit: ``114 µs``."""
        bound = "at least " if self.lower_bound(case) else ""
        return f"{bound}{self.column.texts[group.row(case)]} {self.unit}".strip()


def axes(group: Group) -> list[Axis]:
    """Every column that can be an axis: the primary metric first, then latency, memory, other costs
    and other metrics.
    """
    found = [column for column in group.table.columns if _suits(column)]
    named = [Axis(c, f"f{n}") for n, c in enumerate(found)]
    return sorted(named, key=lambda axis: _order(axis.column, group.table.metric_field))


def _suits(column: Column) -> bool:
    """Whether the column has figures of models."""
    return (
        column.field != ""
        and (column.rank < EXPORT_ONLY or column.field.startswith(EXPORTED))
        and not column.field.startswith(NO_AXES)
        and any(column.estimates)
    )


def _order(column: Column, metric: str) -> tuple[int, bool, int]:
    first = ("metric", "latency", "memory_inference", "memory_training", "throughput")
    field = "metric" if column.field == metric else column.field
    found = [n for n, name in enumerate(first) if field.startswith(name)]
    return found[0] if found else len(first), column.group == "quality", column.rank


def find_axis(found: Sequence[Axis], start: str) -> Axis | None:
    """The first axis of a column whose field starts with ``start``."""
    return next((axis for axis in found if axis.column.field.startswith(start)), None)


def budget_axes(group: Group) -> dict[str, Axis]:
    """The axes that a budget can limit, by its name: the first latency, memory in inference."""
    found = axes(group)
    starts = {"latency": "latency", "memory": "memory_inference"}
    named = {name: find_axis(found, start) for name, start in starts.items()}
    return {name: axis for name, axis in named.items() if axis is not None}
