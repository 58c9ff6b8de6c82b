"""What charts share: how cases are told apart, and axes of figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from seqbench.report.charts.axes import Axis
from seqbench.report.charts.chart import Spec
from seqbench.report.charts.theme import COLORS, DASHES, SHAPES

#: Up to so many cases have their names beside their points.
MOST_NAMED = 12

#: Pixels for each case, where they are below each other.
ROW = 26

Row = Mapping[str, Any]


def color(
    order: Sequence[str], channel: Any = alt.Color, *, legend: bool = True, lines: bool = False
) -> Any:
    """A color for each case, by its name. ``lines``: the legend has lines instead of points."""
    repeated = [COLORS[n % len(COLORS)] for n in range(len(order))]
    return channel(
        "case:N",
        title=None,
        scale=alt.Scale(domain=list(order), range=repeated),
        legend=_legend(lines) if legend else None,
    )


def _legend(lines: bool) -> alt.Legend:
    return alt.Legend(columns=1, symbolType="stroke") if lines else alt.Legend(columns=1)


def shape(order: Sequence[str], *, legend: bool = True) -> alt.Shape:
    """A shape for each case, so that colors are not needed to tell a few cases apart."""
    repeated = [SHAPES[n % len(SHAPES)] for n in range(len(order))]
    return alt.Shape(
        "case:N",
        title=None,
        scale=alt.Scale(domain=list(order), range=repeated),
        legend=alt.Legend(columns=1) if legend else None,
    )


def dash(order: Sequence[str], *, legend: bool = True) -> alt.StrokeDash:
    """A dash for each case, likewise."""
    repeated = [list(DASHES[n % len(DASHES)]) for n in range(len(order))]
    return alt.StrokeDash(
        "case:N",
        title=None,
        scale=alt.Scale(domain=list(order), range=repeated),
        legend=_legend(lines=True) if legend else None,
    )


def tooltip_title(text: str) -> str:
    """A title for a tooltip: Vega-Lite makes an expression of it, in which a backslash is not
    escaped.
    """
    return text.replace("\\", "\N{SET MINUS}")


def cases_down(order: Sequence[str]) -> alt.Y:
    """The cases below each other, in this order."""
    return alt.Y(
        "case:N",
        title=None,
        scale=alt.Scale(domain=list(order)),
        axis=alt.Axis(labelOverlap=False),
    )


def fits_log(axis: Axis, values: Sequence[float]) -> bool:
    """Whether a logarithmic axis suits the figures, and also has room for these ``values``: one
    that is zero, or below the end of the axis, would be drawn outside or not at all.
    """
    return axis.log and all(value > (axis.floor or 0.0) for value in values)


def figure_scale(axis: Axis, *, log: bool) -> alt.Scale:
    """The scale of a figure: never forced to start at zero, which would hide differences."""
    if not log:
        return alt.Scale(zero=False, nice=True)
    return alt.Scale(type="log", nice=False, padding=10, **axis.ends)


def specification(chart: alt.LayerChart | alt.FacetChart | alt.Chart, rows: Sequence[Row]) -> Spec:
    """The chart with its data as Vega-Lite, without Altair's own configuration.

    Tests check it against the schema of Vega-Lite: here, that would take most of the time.
    """
    spec: Spec = chart.to_dict(validate=False, context={"pre_transform": False})
    for layer in spec.get("layer", ()):
        layer.pop("data", None)  # all of them share those of the chart
    spec["data"] = {"values": [dict(row) for row in rows]}
    spec.pop("config", None)
    spec.pop("usermeta", None)
    return spec
