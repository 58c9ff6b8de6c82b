"""Two figures of every case against each other, and the cases that no other beats in both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from seqbench.report.charts.axes import Axis, axes, find_axis
from seqbench.report.charts.chart import Chart, Option, Spec, absent, choice
from seqbench.report.charts.marks import MOST_NAMED, color, shape, specification
from seqbench.report.charts.sentences import trade_offs
from seqbench.report.charts.source import Group

#: Largest latency and memory of the budget, in the units of their axes; null: no limit.
BUDGET = ("budget_latency", "budget_memory")


def pareto(group: Group) -> Chart:
    """The metric against latency by default; both axes can be any figure of the table."""
    found = axes(group)
    metric = find_axis(found, group.table.metric)
    if metric is None or len(found) < 2:
        why = "the run holds no second figure beside the metric (`measure` in the suite)"
        return absent("pareto", "Trade-offs", why if metric else _NO_METRIC)
    across = [axis for axis in found if axis is not metric]
    rows = [_row(group, case, found) for case in group.cases]
    limits = [find_axis(found, "latency"), find_axis(found, "memory_inference")]

    template = _template(group, limits)

    def draw(x: Axis, y: Axis) -> Spec:
        return _filled(template, x, y, rows)

    options = [Option(axis.column.field, axis.title) for axis in [*across, metric]]
    base, by_x = choice(
        "x", "horizontal axis", options, lambda n: draw([*across, metric][n], metric)
    )
    options = [Option(axis.column.field, axis.title) for axis in [metric, *across]]
    _, by_y = choice("y", "vertical axis", options, lambda n: draw(across[0], [metric, *across][n]))
    fields = {"case": "case"} | {f"{axis.field}_text": axis.name for axis in found}
    return Chart("pareto", "Trade-offs", trade_offs(group), base, fields, choices=(by_x, by_y))


_NO_METRIC = "no trial of this dataset has succeeded"


def _row(group: Group, case: Mapping[str, Any], found: Sequence[Axis]) -> dict[str, Any]:
    row: dict[str, Any] = {"case": group.names[case["id"]]}
    for axis in found:
        row |= axis.figures(group, case)
    return row


def _template(group: Group, limits: Sequence[Axis | None]) -> str:
    """The specification as JSON, with ``<x>``, ``<y>`` and so on in place of the axes: drawing it
    for each axis anew would take seconds. Where Altair accepts only known words, some that are not
    used otherwise stand for the scales and for the steps of the front.
    """
    order, legend = group.order, len(group.order) > MOST_NAMED
    base = alt.Chart().encode(
        x=alt.X("<x>:Q", title="<x title>", scale=alt.Scale(padding=12, type="symlog", zero=False)),
        y=alt.Y("<y>:Q", title="<y title>", scale=alt.Scale(padding=12, type="sqrt", zero=False)),
        opacity=alt.when(_fits(limits)).then(alt.value(1)).otherwise(alt.value(0.15)),
    )
    known = base.transform_filter("isValid(datum.<x>)").transform_filter("isValid(datum.<y>)")
    front = (
        known.transform_window(
            best="min(<y>_cost)",
            sort=[alt.SortField("<x>_cost"), alt.SortField("<y>_cost")],
            frame=[None, 0],
        )
        .transform_filter("datum.<y>_cost <= datum.best")
        .mark_line(interpolate="basis", strokeWidth=1, style="ink")
        .encode(opacity=alt.value(0.6), order=alt.Order("<x>:Q"))
    )
    bars = {
        "x": base.encode(x=alt.X("<x>_low:Q", title="<x title>"), x2="<x>_high:Q"),
        "y": base.encode(y=alt.Y("<y>_low:Q", title="<y title>"), y2="<y>_high:Q"),
    }
    points = known.mark_point(size=70, filled=True).encode(
        color=color(order, legend=legend),
        shape=shape(order, legend=legend),
        tooltip=[
            alt.Tooltip("case:N"),
            alt.Tooltip("<x>_text:N", title="<x name>"),
            alt.Tooltip("<y>_text:N", title="<y name>"),
        ],
    )
    # A front through the cases of several runs would compare them.
    layers: list[Any] = [front] if group.source.runs == 1 else []
    for end, bar in bars.items():
        drawn = bar.transform_filter(f"isValid(datum.<{end}>_low)").mark_rule(strokeWidth=1.5)
        layers.append(drawn.encode(color=color(order, legend=legend)))
    layers.append(points)
    if not legend:
        names = known.mark_text(align="left", dx=7, dy=-7, style="label")
        layers.append(names.encode(text="case:N"))
    chart = alt.layer(*layers).add_params(*(alt.param(name=name, value=None) for name in BUDGET))
    return json.dumps(specification(chart, []))


def _filled(template: str, x: Axis, y: Axis, rows: Sequence[Mapping[str, Any]]) -> Spec:
    """The specification for two axes."""
    # Between two points of the front, the one that is better in x is available.
    texts = {"basis": "step-before" if x.higher_is_better else "step-after"}
    for end, scale, axis in (("x", "symlog", x), ("y", "sqrt", y)):
        texts |= {
            f"<{end}>": axis.field,
            f"<{end} title>": axis.title,
            f"<{end} name>": axis.name,
            f"{scale}": "log" if axis.log else "linear",
        }
    for place, text in texts.items():
        template = template.replace(place, json.dumps(text)[1:-1])
    # Vega-Lite warns of a logarithmic scale that is told not to start at zero.
    log = '"type": "log", "nice": false'
    template = template.replace('"type": "log", "zero": false', log)
    spec: Spec = json.loads(template)
    return {**spec, "data": {"values": [dict(row) for row in rows]}}


def _fits(limits: Sequence[Axis | None]) -> str:
    """Whether a case is known to fit the budget."""
    return (
        " && ".join(
            f"({name} == null || (isValid(datum.{axis.field}) && datum.{axis.field} <= {name}))"
            for name, axis in zip(BUDGET, limits, strict=True)
            if axis is not None
        )
        or "true"
    )
