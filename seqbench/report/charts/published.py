"""Published figures beside measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from seqbench.report.charts.axes import Axis
from seqbench.report.charts.chart import Chart, Option, Spec, absent, choice
from seqbench.report.charts.marks import ROW, cases_down, figure_scale, fits_log, specification
from seqbench.report.charts.source import Group
from seqbench.report.charts.theme import COLORS
from seqbench.report.columns.column import Column
from seqbench.report.columns.quality import reference_field
from seqbench.report.text import counted
from seqbench.report.verdict.statement import listed

Row = dict[str, Any]


def published(group: Group) -> Chart:
    """Each figure that a suite names a published one for: the metric, at the weights that count or
    at the last epoch, latency, parameters.
    """
    found = _with_reference(group)
    if not found:
        why = "the suite names no published figures (`reference:` of a model)"
        return absent("published", "Published", why)
    parts = [_rows(group, axis, given) for axis, given in found]
    rows = [{**row, "of": number} for number, part in enumerate(parts) for row in part]
    logs = [_log(axis, given) for axis, given in found]
    options = [
        Option(axis.column.field, axis.name, sentence=_sentence(part))
        for (axis, _), part in zip(found, parts, strict=True)
    ]
    base, chosen = choice(
        "figure", "figure", options, lambda n: _spec(rows, n, found[n][0], log=logs[n])
    )
    fields = {"case": "case", "text": "measured", "published": "published"}
    return Chart("published", "Published", options[0].sentence, base, fields, choices=(chosen,))


def _with_reference(group: Group) -> list[tuple[Axis, Column]]:
    """The columns that have one of references beside them, with it."""
    named = {column.field: column for column in group.table.columns}
    metric = group.table.metric_field
    fields = {field: reference_field(field) for field in (metric, f"{metric}_last")}
    pairs = [
        (one, named.get(fields.get(one.field, f"reference_{one.field}")))
        for one in group.table.columns
    ]
    return [(Axis(one), given) for one, given in pairs if given and any(given.estimates)]


def _rows(group: Group, axis: Axis, given: Column) -> list[Row]:
    rows: list[Row] = []
    log = _log(axis, given)
    for case in group.cases:
        reference, found = (group.estimate(column, case) for column in (given, axis.column))
        if reference is None:
            continue
        row: Row = {"case": group.names[case["id"]], "text": axis.text(group, case),
                    "published": reference.value / axis.factor}  # fmt: skip
        if found is not None:
            row["value"] = found.value / axis.factor
            bounds = axis.drawn_bounds(found) if log else axis.bounds(found)
            if bounds is not None:
                row |= {"low": bounds[0], "high": bounds[1]}
        rows.append(row)
    return rows


def _log(axis: Axis, given: Column) -> bool:
    """Whether measured and published figures suit a logarithmic axis."""
    return fits_log(axis, [e.value / axis.factor for e in given.estimates if e])


def _spec(rows: Sequence[Row], number: int, axis: Axis, *, log: bool) -> Spec:
    order = [row["case"] for row in rows if row["of"] == number]
    base = (
        alt.Chart()
        .transform_filter(alt.FieldEqualPredicate(field="of", equal=number))
        .encode(y=cases_down(order))
    )
    x = alt.X("value:Q", title=axis.title, scale=figure_scale(axis, log=log))
    tips = ["case:N", alt.Tooltip("text:N", title="measured"),
            alt.Tooltip("published:Q", format=".4~g")]  # fmt: skip
    words = alt.Scale(domain=["measured (95 % CI)", "published"], range=[COLORS[0], COLORS[5]])
    chart = alt.layer(
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2, color=COLORS[0])
        .encode(x=alt.X("low:Q", title=axis.title), x2="high:Q"),
        base.transform_filter("isValid(datum.value)")
        .transform_calculate(kind="'measured (95 % CI)'")
        .mark_point(filled=True, size=70)
        .encode(x=x, tooltip=tips, color=alt.Color("kind:N", title=None, scale=words)),
        base.transform_calculate(kind="'published'")
        .mark_point(shape="diamond", size=90, strokeWidth=2)
        .encode(x=alt.X("published:Q", title=axis.title), tooltip=tips,
                color=alt.Color("kind:N", title=None, scale=words)),
    ).properties(height=ROW * len(order))  # fmt: skip
    return specification(chart, rows)


def _sentence(rows: Sequence[Row]) -> str:
    """Which published figures lie within the interval of the measured one."""
    known = [row for row in rows if "low" in row]
    if not known:
        return (
            "The measured figures have no interval, so nothing is known about how far they agree."
        )
    inside = [row["case"] for row in known if row["low"] <= row["published"] <= row["high"]]
    outside = [row["case"] for row in known if row["case"] not in inside]
    parts = []
    if inside:
        parts.append(f"within the 95 % interval of the measured one for {listed(inside)}")
    if outside:
        parts.append(f"outside for {listed(outside)}")
    if len(known) < len(rows):
        parts.append(f"unknown for {counted(len(rows) - len(known), 'case')} without an interval")
    return f"The published figure lies {listed(parts)}."
