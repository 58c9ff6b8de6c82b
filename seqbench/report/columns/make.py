"""How columns are made from figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from seqbench.quantities import Better
from seqbench.report import numbers
from seqbench.report.columns.column import Case, Column, Group
from seqbench.report.numbers import MISSING, Estimate, Scale, Unit

#: For the unit of a quantity: how names of exported columns end, and the units that people read.
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
    """A column in one unit: the one given, or else the one of ``scale`` that suits the figures.

    Args:
        si: the unit of ``estimates``, as a :class:`seqbench.quantities.Quantity` has it.
        scale: the units to choose from; those of ``si`` if not given.
        finest: the least that a figure's last digit may stand for.
        better, has_interval, resolution, rank, rivals: as a :class:`.Column` has them.
    """
    ending, usual = UNITS.get(si, (si, Scale((Unit(si, 1.0),))))
    scale = scale or usual
    unit = unit or numbers.common_unit([e.value for e in estimates if e], scale)
    texts = tuple(in_unit(e, unit, finest=finest) for e in estimates)
    return Column(
        field=field, si=ending, header=(*header, unit.name), group=group,
        estimates=tuple(estimates), texts=texts, better=better, interval=has_interval, rank=rank,
        resolution=resolution, rivals=rivals,
    )  # fmt: skip


def exponent(name: str, words: str, group: Group, cases: Sequence[Case]) -> Column:
    """What power of the length a figure grows with; ``name`` is its key in ``exponents``."""
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
