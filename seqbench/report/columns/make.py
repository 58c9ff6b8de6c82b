"""How columns are made from figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from seqbench.report import numbers
from seqbench.report.columns.column import Better, Column, Group
from seqbench.report.numbers import MISSING, Estimate, Scale, Unit


def quantity(
    field: str,
    header: tuple[str, str],
    estimates: Sequence[Estimate | None],
    *,
    si: str,
    group: Group,
    scale: Scale,
    unit: Unit | None = None,
    better: Better | None = None,
    has_interval: bool = False,
    resolution: float = 0.0,
    rank: int = 0,
    finest: float = 0.0,
    rivals: tuple[str, ...] = (),
) -> Column:
    """A column in one unit of ``scale``: the one given, or else the one that suits it.

    ``finest`` is the least that a figure's last digit may stand for.
    """
    unit = unit or numbers.common_unit([e.value for e in estimates if e], scale)
    texts = tuple(in_unit(e, unit, finest=finest) for e in estimates)
    return Column(
        field, si, (*header, unit.name), group, tuple(estimates), texts,
        better, has_interval, rank, resolution, rivals,
    )  # fmt: skip


def in_unit(estimate: Estimate | None, unit: Unit, finest: float = 0.0) -> str:
    """The figure without its unit, marked if it is doubtful (see :func:`numbers.doubtful`)."""
    if estimate is None:
        return MISSING
    mark = numbers.DOUBTFUL if numbers.doubtful(estimate) else ""
    return numbers.figure(estimate.value / unit.factor, finest=finest) + mark


def whole(estimates: Sequence[Estimate | None]) -> tuple[str, ...]:
    return tuple(f"{e.value:,.0f}" if e else MISSING for e in estimates)


def exact(value: float | None) -> Estimate | None:
    """A figure without an interval; what is not finite is no figure."""
    return Estimate(value) if value is not None and math.isfinite(value) else None


def interval(
    found: Mapping[str, Any] | None, name: str, low: str = "low", high: str = "high"
) -> Estimate | None:
    if not found or exact(found.get(name)) is None:
        return None
    bounds = found.get(low), found.get(high)
    if any(bound is None or not math.isfinite(bound) for bound in bounds):
        return Estimate(found[name])
    return Estimate(found[name], *bounds)
