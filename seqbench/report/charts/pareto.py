"""Two figures of every case against each other, and the cases that no other beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from seqbench.report.charts.axes import Axis, axes, budget_axes, find_axis
from seqbench.report.charts.chart import Chart, Option, Spec, absent, choice
from seqbench.report.charts.marks import MOST_NAMED, color, shape, specification, tooltip_title
from seqbench.report.charts.sentences import trade_offs
from seqbench.report.charts.source import Group, is_sound
from seqbench.report.names import status_lines

#: Largest latency and memory of the budget, in the units of their axes; null: no limit.
BUDGET = ("budget_latency", "budget_memory")

#: Words that the template has in place of what depends on the axes. Altair accepts only known ones
#: for a scale and for the way in which points are joined.
X_SCALE, Y_SCALE, FRONT = "symlog", "sqrt", "basis"

#: Names stand to the right of their points, near the right edge to the left, so that none is cut.
SIDE = {
    "align": "scale('x', datum.<x>) > 0.65 * width ? 'right' : 'left'",
    "dx": "scale('x', datum.<x>) > 0.65 * width ? -7 : 7",
}

#: What follows a field of an axis (see :class:`.Axis`).
FIELDS = ("", "_low", "_high", "_text", "_cost")

#: Pixels for a name beside its point.
NAME = 130

#: Pixels between the outermost points and the edge.
PADDING = 12


def pareto(group: Group) -> Chart:
    """The metric against latency by default; both axes can be any figure of the table."""
    found = axes(group)
    metric = find_axis(found, group.table.metric_field)
    if metric is None or len(found) < 2:
        why = "the run holds no second figure beside the metric (`measure` in the suite)"
        return absent("pareto", "Trade-offs", why if metric else _NO_METRIC)
    across = [axis for axis in found if axis is not metric]
    rows = [_row(group, case, found) for case in group.cases]
    template = _template(group)

    def draw(x: Axis, y: Axis) -> Spec:
        return _filled(template, x, y, rows)

    options = [Option(axis.column.field, axis.title) for axis in [*across, metric]]
    base, by_x = choice(
        "x", "horizontal axis", options, lambda n: draw([*across, metric][n], metric)
    )
    options = [Option(axis.column.field, axis.title) for axis in [metric, *across]]
    _, by_y = choice("y", "vertical axis", options, lambda n: draw(across[0], [metric, *across][n]))
    fields = {"case": "case"} | {f"{axis.field}_text": axis.name for axis in found}
    return Chart(
        "pareto", "Trade-offs", trade_offs(group), base, fields, choices=(by_x, by_y), hint=HINT
    )  # fmt: skip


HINT = (
    "The line joins the cases that no other beats in both figures, by their estimates. Hollow: a "
    "seed failed, so the case is not compared."
)

_NO_METRIC = "no trial of this dataset has succeeded"


def _row(group: Group, case: Mapping[str, Any], found: Sequence[Axis]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "case": group.names[case["id"]], "device": case["device"], "sound": is_sound(case),
        "status": "; ".join(status_lines(case)),
    }  # fmt: skip
    for axis in found:
        row |= axis.figures(group, case)
    return row


def _template(group: Group) -> Spec:
    """The specification with words such as ``<x>`` in place of the axes, since drawing it again for
    each axis would take seconds.
    """
    order, legend = group.order, len(group.order) > MOST_NAMED
    base = alt.Chart().encode(
        x=alt.X("<x>:Q", title="<x title>", scale=alt.Scale(type=X_SCALE)),
        y=alt.Y("<y>:Q", title="<y title>", scale=alt.Scale(type=Y_SCALE)),
        opacity=alt.when(_fits(group)).then(alt.value(1)).otherwise(alt.value(0.15)),
    )
    bars = {
        "x": base.encode(x=alt.X("<x>_low:Q", title="<x title>"), x2="<x>_high:Q"),
        "y": base.encode(y=alt.Y("<y>_low:Q", title="<y title>"), y2="<y>_high:Q"),
    }
    # A front through the cases of several runs would compare them.
    layers: list[Any] = [_front(base)] if group.data.runs == 1 else []
    for end, bar in bars.items():
        drawn = bar.transform_filter(f"isValid(datum.<{end}>_low)").mark_rule(strokeWidth=1.5)
        layers.append(drawn.encode(color=color(order, legend=legend)))
    known = base.transform_filter("isValid(datum.<x>)").transform_filter("isValid(datum.<y>)")
    layers.append(_points(known, order, legend))
    if not legend:
        side = {name: alt.ExprRef(expr=expression) for name, expression in SIDE.items()}
        names = known.mark_text(dy=-7, limit=NAME, style="label", **side)
        layers.append(names.encode(text="case:N"))
    chart = alt.layer(*layers).add_params(*(alt.param(name=name, value=None) for name in BUDGET))
    return specification(chart, [])


def _front(base: alt.Chart) -> alt.Chart:
    """A line through the cases of a device that no other one beats in both figures."""
    return (
        base.transform_filter("isValid(datum.<x>_cost)")
        .transform_filter("isValid(datum.<y>_cost)")
        .transform_window(
            best="min(<y>_cost)",
            sort=[alt.SortField("<x>_cost"), alt.SortField("<y>_cost")],
            frame=[None, 0],
            groupby=["device"],
        )
        .transform_filter("datum.<y>_cost <= datum.best")
        .mark_line(interpolate=FRONT, strokeWidth=1, style="ink")
        .encode(opacity=alt.value(0.6), order=alt.Order("<x>:Q"), detail="device:N")
    )


def _points(known: alt.Chart, order: Sequence[str], legend: bool) -> alt.Chart:
    """A point for each case, hollow if one of its seeds failed."""
    return known.mark_point(size=70, strokeWidth=1.5).encode(
        stroke=color(order, alt.Stroke, legend=legend),
        fill=color(order, alt.Fill, legend=legend),
        fillOpacity=alt.when("datum.sound").then(alt.value(1)).otherwise(alt.value(0)),
        shape=shape(order, legend=legend),
        tooltip=[
            alt.Tooltip("case:N"),
            alt.Tooltip("<x>_text:N", title="<x name>"),
            alt.Tooltip("<y>_text:N", title="<y name>"),
            alt.Tooltip("status:N"),
        ],
    )


def _filled(template: Spec, x: Axis, y: Axis, rows: Sequence[Mapping[str, Any]]) -> Spec:
    """The specification for two axes."""
    # Between two points of the front, only that with the better x is available.
    words: dict[str, Any] = {
        FRONT: "step-before" if x.column.higher_is_better else "step-after",
        **_words("x", x),
        **_words("y", y),
    }
    scales = {kind: _scale(axis) for kind, axis in ((X_SCALE, x), (Y_SCALE, y))}
    spec: Spec = _replaced(template, words, scales)
    return {**spec, "data": {"values": [dict(row) for row in rows]}}


def _words(end: str, axis: Axis) -> dict[str, str]:
    """What replaces each word about one axis."""
    field = axis.field
    plain = {f"<{end}>{rest}": f"{field}{rest}" for rest in FIELDS}
    tests = {f"isValid(datum.<{end}>{rest})": f"isValid(datum.{field}{rest})" for rest in FIELDS}
    best = {f"datum.<{end}>_cost <= datum.best": f"datum.{field}_cost <= datum.best"}
    side = {each: each.replace("<x>", field) for each in SIDE.values()} if end == "x" else {}
    texts = {f"<{end} title>": axis.title, f"<{end} name>": tooltip_title(axis.name)}
    return {**plain, **tests, **best, **side, **texts}


def _scale(axis: Axis) -> dict[str, Any]:
    if not axis.log:
        return {"type": "linear", "zero": False}
    # Vega-Lite warns of a logarithmic scale with `zero: false`.
    return {"type": "log", "nice": False, **axis.ends}


def _replaced(node: Any, words: Mapping[str, str], scales: Mapping[str, Mapping[str, Any]]) -> Any:
    """A copy in which whole texts are replaced; those of a case cannot be among them, since they
    are values of the key ``domain``.
    """
    if isinstance(node, dict):
        if node.get("type") in scales and "range" not in node:
            return {"padding": PADDING, **scales[node["type"]]}
        return {
            key: value if key == "domain" else _replaced(value, words, scales)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_replaced(item, words, scales) for item in node]
    return words.get(node, node) if isinstance(node, str) else node


def _fits(group: Group) -> str:
    """Whether a case may fit the budget."""
    tests = [
        f"(budget_{name} == null || (isValid(datum.{axis.field}_least) && "
        f"datum.{axis.field}_least <= budget_{name}))"
        for name, axis in budget_axes(group).items()
    ]
    return " && ".join(tests) or "true"
