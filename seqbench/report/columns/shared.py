"""Helpers with which ``cost.py``, ``memory.py``, ``quality.py`` and ``speed.py`` build columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from seqbench.quantities import Better
from seqbench.report import numbers
from seqbench.report.columns.column import Case, Column, Group
from seqbench.report.numbers import MISSING, Estimate, Scale, Unit

#: For each unit of a quantity: the suffix of exported column names, and the units shown.
UNITS: Mapping[str, tuple[str, Scale]] = {
    "s": ("s", numbers.TIME),
    "1/s": ("per_s", numbers.RATE),
    "B": ("bytes", numbers.BYTES),
    "1": ("", numbers.COUNT),
}


def quantity(
    field: str,
    header: tuple[str, str],
    estimates: Sequence[Estimate | None],
    *,
    si: str,
    group: Group,
    scale: Scale | None = None,
    unit: Unit | None = None,
    better: Better | None = None,
    has_interval: bool = False,
    resolution: float = 0.0,
    rank: int = 0,
    finest: float = 0.0,
    rivals: tuple[str, ...] = (),
) -> Column:
    """A column in one unit: ``unit`` if given, else the unit of ``scale`` that fits the figures.

    Args:
        si: the unit of ``estimates``, as in :class:`seqbench.quantities.Quantity`.
        scale: the units to choose from; by default those of ``si``.
        finest: the smallest value of the last digit shown.
        better, has_interval, resolution, rank, rivals: as in :class:`.Column`.
    """
    ending, usual = UNITS.get(si, (si, Scale((Unit(si, 1.0),))))
    scale = scale or usual
    unit = unit or numbers.common_unit([e.value for e in estimates if e], scale)
    texts = tuple(in_unit(e, unit, finest=finest) for e in estimates)
    return Column(
        field=field, si=ending, header=(*header, unit.name), group=group,
        estimates=tuple(estimates), texts=texts, unit=unit, better=better, interval=has_interval,
        rank=rank, resolution=resolution, rivals=rivals,
    )  # fmt: skip


def exponent(name: str, words: str, group: Group, cases: Sequence[Case]) -> Column:
    """A column of exponents over the length; ``name`` is the key in ``exponents``."""
    found = [exact((case.get("exponents") or {}).get(name)) for case in cases]
    return Column(
        field=f"{name}_exponent", si="", header=("exponent", words, ""), group=group,
        estimates=tuple(found), texts=tuple(f"{e.value:.2f}" if e else MISSING for e in found),
    )  # fmt: skip


def in_unit(estimate: Estimate | None, unit: Unit, finest: float = 0.0) -> str:
    """The figure without its unit, marked if it is doubtful (see :func:`numbers.doubtful`)."""
    if estimate is None:
        return MISSING
    mark = numbers.DOUBTFUL if numbers.doubtful(estimate) else ""
    return numbers.figure(estimate.value / unit.factor, finest=finest) + mark


def whole(estimates: Sequence[Estimate | None]) -> tuple[str, ...]:
    """Figures without decimals: ``14,010``."""
    return tuple(f"{e.value:,.0f}" if e else MISSING for e in estimates)


def exact(value: float | None) -> Estimate | None:
    """A figure without an interval; None if it is missing or not finite."""
    return Estimate(value) if value is not None and math.isfinite(value) else None


def interval(
    found: Mapping[str, Any] | None, name: str, low: str = "low", high: str = "high"
) -> Estimate | None:
    """The figure ``name`` of ``found`` with its bounds; None if it is missing or not finite."""
    if not found or exact(found.get(name)) is None:
        return None
    bounds = found.get(low), found.get(high)
    if any(bound is None or not math.isfinite(bound) for bound in bounds):
        return Estimate(found[name])
    return Estimate(found[name], *bounds)
