"""What the memory of each case goes into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from seqbench.report import numbers
from seqbench.report.charts.chart import Chart, Option, Spec, absent, choice
from seqbench.report.charts.marks import ROW, cases_down, specification
from seqbench.report.charts.source import Group
from seqbench.report.charts.theme import COLORS
from seqbench.report.verdict.statement import listed
from seqbench.report.views.memory import BREAKDOWN, MODES

#: What the known parts leave of the total: older runs recorded fewer of them.
REST = "not broken down"

#: The parts of the total, in the order of the bars; what training adds comes last.
PARTS = ("parameters", "buffers", "activations", "gradients", "optimizer", REST)


def memory(group: Group) -> Chart:
    """Stacked bars of the peak in inference or in training."""
    rows = [row for case in group.cases for row in _rows(group, case)]
    if not rows:
        why = "memory was not measured (`measure.memory` in the suite), or no seed succeeded"
        return absent("memory", "Memory", why)
    unit = numbers.common_unit([row["value"] for row in rows if row["value"]], numbers.BYTES)
    for row in rows:
        row["value"] /= unit.factor
        row["text"] = f"{numbers.figure(row['value'], finest=0.01)} {unit.name}"
    found = [mode for mode in MODES if any(row["mode"] == mode for row in rows)]
    options = [Option(mode, mode) for mode in found]
    base, chosen = choice("mode", "in", options, lambda n: _spec(group, rows, found[n], unit.name))
    fields = {"case": "case", "mode": "in", "part": "part", "text": "memory"}
    return Chart("memory", "Memory", _sentence(group), base, fields, choices=(chosen,))


def _rows(group: Group, case: Any) -> list[dict[str, Any]]:
    """One row for each part of each mode; together they are the total."""
    breakdown = (case["memory"] or {}).get("breakdown") or {}
    return [
        {"case": group.names[case["id"]], "mode": mode, "part": part, "rank": PARTS.index(part),
         "value": size}
        for mode in MODES
        if mode in breakdown
        for part, size in _parts(breakdown[mode], mode).items()
    ]  # fmt: skip


def _parts(values: Mapping[str, Any], mode: str) -> dict[str, int]:
    found = {part: values[part] for part in BREAKDOWN[mode] if values.get(part) is not None}
    rest = found.pop("total") - sum(found.values())
    return {**found, REST: rest} if rest else found


def _sentence(group: Group) -> str:
    """Which share of the memory in inference the parameters are."""
    shares = {}
    for case in group.cases:
        values = ((case["memory"] or {}).get("breakdown") or {}).get("inference")
        if values and values["total"]:
            shares[group.names[case["id"]]] = values["parameters"] / values["total"]
    if not shares:
        return "Peak of one pass, by what it is used for."
    low, high = min(shares.values()), max(shares.values())
    span = f"{100 * low:.0f} to {100 * high:.0f} %" if high - low > 0.01 else f"{100 * high:.0f} %"
    if high < 0.005:
        span = "less than 1 %"
    bounds = [c for c in group.cases if (c["memory"] or {}).get("lower_bound")]
    named = listed([group.names[case["id"]] for case in bounds]) if bounds else ""
    more = f" The true peak of {named} may be higher." if bounds else ""
    return f"Parameters are {span} of the memory in inference.{more}"


def _spec(group: Group, rows: list[dict[str, Any]], mode: str, unit: str) -> Spec:
    used = [part for part in PARTS if any(row["part"] == part for row in rows)]
    tips = ["case:N", "part:N", alt.Tooltip("text:N", title="memory")]
    chart = (
        alt.Chart()
        .transform_filter(alt.FieldEqualPredicate(field="mode", equal=mode))
        .mark_bar(size=16)
        .encode(
            x=alt.X("value:Q", title=f"memory in {mode} ({unit})", stack="zero"),
            y=cases_down(group.order),
            color=alt.Color(
                "part:N", title=None,
                scale=alt.Scale(domain=used, range=list(COLORS[: len(used)])),
            ),
            order="rank:Q",
            tooltip=tips,
        )
        .properties(height=ROW * len(group.order))
    )  # fmt: skip
    return specification(chart, rows)
