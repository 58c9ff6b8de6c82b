"""The metrics on each test set, or range of length, against the length of the sequences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import altair as alt

from seqbench.quantities import Quantity
from seqbench.report.charts.chart import Spec
from seqbench.report.charts.marks import color, dash, shape, specification, tooltip_title
from seqbench.report.charts.sentences import metric_on_parts
from seqbench.report.charts.source import Group, drawable, is_sound
from seqbench.report.columns.column import Case
from seqbench.report.columns.quality import metric_unit
from seqbench.report.numbers import Estimate
from seqbench.report.parts import (
    Part,
    PartMetric,
    are_sets,
    lengths_of,
    metrics_on_parts,
    part_names,
    parts_of,
)
from seqbench.report.text import clean

#: A logarithmic axis is used for errors that span such a factor.
WIDE = 30.0

#: Up to so many test sets have their names in the chart, each at most so many pixels wide.
MOST_NAMED, NAME = 6, 90

#: Where the names stand: above the plotting area, since figures may be at its upper end.
ABOVE = -6

Row = dict[str, Any]


@dataclass(frozen=True)
class FigureOnParts:
    """A metric of all cases on every part.

    Args:
        apart: whether the lengths of the parts do not overlap, so that there is an axis of lengths.
        sets: the names of the test sets, in order; empty for ranges of length.
        floor: the lower end of a logarithmic axis; None for a linear one.
    """

    name: str
    title: str
    rows: Sequence[Row]
    sentence: str
    apart: bool
    sets: Sequence[str]
    floor: float | None


def figures_on_parts(group: Group) -> Iterator[FigureOnParts]:
    """Every metric that has a figure on several parts."""
    parts = parts_of(group.table.cases)
    if len(parts) < 2:
        return
    apart = not _overlap(parts)
    parts = sorted(parts, key=lambda part: part["shortest"]) if apart else parts
    for metric in metrics_on_parts(group.table.cases, group.data.document):
        rows = [row for case in group.cases for row in _rows(group, case, metric, parts)]
        if not any(row["value"] is not None for row in rows):
            continue
        name, unit = clean(metric.about.name), metric_unit(metric.about)
        floor = _floor(rows, metric.about)
        if floor is not None:  # an interval that reaches zero ends at the edge
            rows = [{**row, "low": max(row["low"], floor)} if "low" in row else row for row in rows]
        yield FigureOnParts(
            name=metric.field,
            title=f"test {name} ({unit})" if unit else f"test {name}",
            rows=rows,
            sentence=metric_on_parts(group, metric, parts, apart=apart),
            apart=apart,
            sets=_names(parts) if are_sets(parts) else [],
            floor=floor,
        )


def _overlap(parts: Sequence[Part]) -> bool:
    ends = sorted((part["shortest"], part["longest"]) for part in parts)
    return any(one[1] >= other[0] for one, other in pairwise(ends))


def _names(parts: Sequence[Part]) -> list[str]:
    return [drawable(name) for name in part_names(parts)]


def _rows(group: Group, case: Case, metric: PartMetric, parts: Sequence[Part]) -> Iterator[Row]:
    """A row for each part; its point is in the middle of its lengths, as drawn. Without a figure,
    the value is None, so that no line is drawn across.
    """
    factor = 0.01 if metric.about.share else 1.0
    for part, name in zip(parts, _names(parts), strict=True):
        estimate = metric.estimate(case, part)
        row: Row = {
            "case": group.names[case["id"]],
            "part": name,
            "length": lengths_of(part),
            "shortest": part["shortest"],
            "longest": part["longest"],
            "middle": math.sqrt(part["shortest"] * part["longest"]),
            "value": None if estimate is None else estimate.value / factor,
            "sound": is_sound(case),
        }
        bounds = None if estimate is None else _bounds(estimate, metric.about)
        if bounds is not None:
            row |= {"low": bounds[0] / factor, "high": bounds[1] / factor}
        yield row


def _bounds(estimate: Estimate, about: Quantity) -> tuple[float, float] | None:
    """The 95 % interval within what is possible: a fraction lies between 0 and 1, and an error is
    not negative.
    """
    low, high = estimate.low, estimate.high
    if low is None or high is None:
        return None
    if about.share:
        return max(0.0, low), min(1.0, high)
    return (low if about.higher_is_better or estimate.value < 0 else max(0.0, low)), high


def _floor(rows: Sequence[Row], about: Quantity) -> float | None:
    """Half of the smallest figure, for errors that differ by orders of magnitude."""
    values = [row["value"] for row in rows if row["value"] is not None]
    if about.higher_is_better or min(values) <= 0 or max(values) < WIDE * min(values):
        return None
    return float(min(values)) / 2


def spec_of(group: Group, figure: FigureOnParts, rows: Sequence[Row], number: int) -> Spec:
    """The chart of one metric.

    Args:
        rows: those of all options of the chart; ``number``: the option.
    """
    base = alt.Chart().transform_filter(alt.FieldEqualPredicate(field="of", equal=number))
    return specification(
        (_over_lengths if figure.apart else _side_by_side)(group, figure, base), rows
    )


def _over_lengths(group: Group, figure: FigureOnParts, plain: alt.Chart) -> alt.LayerChart:
    """Each figure as a point with its interval, and with a line over the lengths that it is of."""
    order = group.order
    scale = alt.Scale(type="log", base=2, nice=False, padding=10)
    axis = alt.Axis(format="~s", labelOverlap="greedy", labelSeparation=4)
    across = alt.X("middle:Q", title="length (steps)", axis=axis, scale=scale)
    base = plain.encode(color=color(order))
    at = base.encode(x=across, y=_up(figure))
    span = base.encode(x=alt.X("shortest:Q", title="length (steps)"), x2="longest:Q", y=_up(figure))
    layers = [
        span.mark_rule(strokeWidth=1, opacity=0.6),
        _interval(base.encode(x=across), figure),
        at.mark_line(strokeWidth=1.4).encode(strokeDash=dash(order)),
        _points(plain.encode(x=across), figure, order),
    ]
    if 0 < len(figure.sets) <= MOST_NAMED:
        first = figure.rows[0]["case"]
        named = plain.transform_filter(alt.FieldEqualPredicate(field="case", equal=first))
        names = named.mark_text(baseline="bottom", style="label", limit=NAME)
        layers.append(names.encode(x=across, y=alt.value(ABOVE), text="part:N"))
    return alt.layer(*layers)


def _side_by_side(group: Group, figure: FigureOnParts, base: alt.Chart) -> alt.LayerChart:
    """The test sets beside each other, since their lengths overlap; within each all cases."""
    order = group.order
    axis = alt.Axis(labelAngle=0 if len(figure.sets) <= MOST_NAMED else -40, labelLimit=NAME)
    across = alt.X("part:N", title="test set", axis=axis, scale=alt.Scale(domain=list(figure.sets)))
    beside = alt.XOffset("case:N", scale=alt.Scale(domain=list(order)))
    base = base.encode(x=across, xOffset=beside)
    return alt.layer(
        _interval(base.encode(color=color(order)), figure), _points(base, figure, order)
    )


def _up(figure: FigureOnParts) -> alt.Y:
    scale = alt.Scale(zero=False)
    if figure.floor is not None:
        scale = alt.Scale(type="log", nice=False, padding=10, domainMin=figure.floor)
    return alt.Y("value:Q", title=figure.title, scale=scale)


def _interval(base: alt.Chart, figure: FigureOnParts) -> alt.Chart:
    bars = base.transform_filter("isValid(datum.low)").mark_rule()
    return bars.encode(y=alt.Y("low:Q", title=figure.title), y2="high:Q")


def _points(base: alt.Chart, figure: FigureOnParts, order: Sequence[str]) -> alt.Chart:
    """Hollow if a seed failed. Vega-Lite warns of a color beside stroke and fill."""
    value = alt.Tooltip("value:Q", title=tooltip_title(figure.title), format=",.4~g")
    tips = ["case:N", *(["part:N"] if figure.sets else []), "length:N", value]
    return base.mark_point(size=45, strokeWidth=1.4, opacity=1).encode(
        y=_up(figure),
        stroke=color(order, alt.Stroke),
        fill=color(order, alt.Fill),
        fillOpacity=alt.when("datum.sound").then(alt.value(1)).otherwise(alt.value(0)),
        shape=shape(order),
        tooltip=tips,
    )
