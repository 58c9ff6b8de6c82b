"""The metric of each case: its seeds as dots, with their mean and its interval."""

from __future__ import annotations

from typing import Any

import altair as alt

from seqbench.report.charts.axes import Axis, axes, find_axis
from seqbench.report.charts.chart import Chart, absent
from seqbench.report.charts.marks import (
    ROW,
    cases_down,
    color,
    figure_scale,
    fits_log,
    specification,
)
from seqbench.report.charts.sentences import spread_of_seeds
from seqbench.report.charts.source import Group
from seqbench.report.names import trial_words

FIELDS = {"case": "case", "kind": "of", "text": "figure"}


def accuracy(group: Group) -> Chart:
    """Seeds, mean and interval of the primary metric."""
    metric = find_axis(axes(group), group.table.metric_field)
    if metric is None:
        why = "no trial of this dataset has succeeded"
        return absent("accuracy", "Seeds", why)
    good = [t for case in group.cases for t in group.trials(case) if t["status"] == "ok"]
    log = fits_log(metric, [trial["metrics"]["value"] / metric.factor for trial in good])
    rows = [row for case in group.cases for row in _rows(group, case, metric, log=log)]
    order = group.order
    x = alt.X("value:Q", title=metric.title, scale=figure_scale(metric, log=log))
    base = alt.Chart().encode(y=cases_down(order))
    means = base.transform_filter("datum.kind == 'mean'")
    tips = [alt.Tooltip("case:N"), alt.Tooltip("kind:N", title="of"), alt.Tooltip("text:N")]
    chart = alt.layer(
        means.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2)
        .encode(
            x=alt.X("low:Q", title=metric.title), x2="high:Q", color=color(order, legend=False)
        ),
        means.mark_point(shape="diamond", size=110, filled=True).encode(
            x=x, color=color(order, legend=False), tooltip=tips
        ),
        base.transform_filter("datum.kind != 'mean'")
        .mark_point(size=36, strokeWidth=1.3, style="ink")
        .encode(x=x, tooltip=tips),
    ).properties(height=ROW * len(order))
    return Chart("accuracy", "Seeds", spread_of_seeds(group), specification(chart, rows), FIELDS)


def _rows(group: Group, case: Any, metric: Axis, *, log: bool) -> list[dict[str, Any]]:
    """The mean with its interval, then each successful seed."""
    name, found = group.names[case["id"]], group.estimate(metric.column, case)
    rows: list[dict[str, Any]] = []
    if found is not None:
        bounds = metric.drawn_bounds(found) if log else metric.bounds(found)
        low, high = bounds or (None, None)
        rows.append(
            {"case": name, "kind": "mean", "value": found.value / metric.factor, "low": low,
             "high": high, "text": metric.text(group, case)}
        )  # fmt: skip
    for trial in group.trials(case):
        if trial["status"] == "ok":
            value = trial["metrics"]["value"] / metric.factor
            text, kind = f"{value:.4g}", trial_words(trial)
            rows.append({"case": name, "kind": kind, "value": value, "text": text})
    return rows
