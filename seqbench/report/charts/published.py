"""Published figures beside measured ones."""

from __future__ import annotations

from typing import Any

import altair as alt

from seqbench.report.charts.axes import Axis, axes, find_axis
from seqbench.report.charts.chart import Chart, absent
from seqbench.report.charts.marks import ROW, cases_down, figure_scale, specification
from seqbench.report.charts.source import Group
from seqbench.report.charts.theme import COLORS
from seqbench.report.verdict.statement import listed


def published(group: Group) -> Chart:
    """The metric of each case with a reference, and the published figure."""
    metric = find_axis(axes(group), group.table.metric)
    known = [case for case in group.cases if case["reference"].get(group.table.metric) is not None]
    if metric is None or not known:
        why = "the suite names no published figures (`reference:` of a model)"
        return absent("published", "Published", why)
    rows = [_row(group, case, metric) for case in known]
    order = [row["case"] for row in rows]
    base = alt.Chart().encode(y=cases_down(order))
    x = alt.X("value:Q", title=metric.title, scale=figure_scale(log=False))
    tips = ["case:N", alt.Tooltip("text:N", title="measured"),
            alt.Tooltip("published:Q", format=".4~g")]  # fmt: skip
    names = alt.Scale(domain=["measured (95 % CI)", "published"], range=[COLORS[0], COLORS[5]])
    chart = alt.layer(
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2, color=COLORS[0])
        .encode(x=alt.X("low:Q", title=metric.title), x2="high:Q"),
        base.transform_filter("isValid(datum.value)")
        .transform_calculate(kind="'measured (95 % CI)'")
        .mark_point(filled=True, size=70)
        .encode(x=x, tooltip=tips, color=alt.Color("kind:N", title=None, scale=names)),
        base.transform_calculate(kind="'published'")
        .mark_point(shape="diamond", size=90, strokeWidth=2)
        .encode(x=alt.X("published:Q", title=metric.title), tooltip=tips,
                color=alt.Color("kind:N", title=None, scale=names)),
    ).properties(height=ROW * len(order))  # fmt: skip
    fields = {"case": "case", "text": "measured", "published": "published"}
    return Chart("published", "Published", _sentence(rows), specification(chart, rows), fields)


def _row(group: Group, case: Any, metric: Axis) -> dict[str, Any]:
    found = group.estimate(metric.column, case)
    row = {"case": group.names[case["id"]], "text": metric.text(group, case),
           "published": case["reference"][group.table.metric] / metric.factor}  # fmt: skip
    if found is not None:
        row["value"] = found.value / metric.factor
        if found.low is not None and found.high is not None:
            row |= {"low": found.low / metric.factor, "high": found.high / metric.factor}
    return row


def _sentence(rows: list[dict[str, Any]]) -> str:
    """Which published figures lie within the interval of the measured one."""
    known = [row for row in rows if "low" in row]
    if not known:
        return "One seed each: nothing is known about how far the figures agree."
    inside = [row["case"] for row in known if row["low"] <= row["published"] <= row["high"]]
    outside = [row["case"] for row in known if row["case"] not in inside]
    if not outside:
        return "Every published figure lies within the 95 % interval of the measured one."
    if not inside:
        return f"No published figure lies within the 95 % interval: {listed(outside)}."
    return (
        f"The published figure lies within the 95 % interval for {listed(inside)}, and outside for "
        f"{listed(outside)}."
    )
