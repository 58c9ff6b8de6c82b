"""Figures against the length of the sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from seqbench.report import numbers
from seqbench.report.charts.chart import Chart, Option, Spec, absent, choice
from seqbench.report.charts.marks import color, dash, shape, specification
from seqbench.report.charts.sentences import growth
from seqbench.report.charts.source import Group
from seqbench.report.columns.speed import (
    latency_settings,
    measurement_settings,
    named_settings,
    setting_words,
)

#: The figures of the document at each length, with their titles and units.
AT_LENGTH = {
    "inference_bytes": ("memory in inference", numbers.BYTES),
    "training_bytes": ("memory in training", numbers.BYTES),
    "macs": ("MACs of one sequence", numbers.COUNT),
}


def length(group: Group) -> Chart:
    """Latency, memory and multiply-accumulates against the length, on logarithmic axes."""
    found = _latencies(group)
    for name, (title, scale) in AT_LENGTH.items():
        found[name] = (title, scale, _at_lengths(group, name))
    several = {name: one for name, one in found.items() if _several(one[2])}
    if not several:
        why = "everything was measured at one length (`measure.latency.seq_lens` in the suite)"
        return absent("length", "Length", why)
    rows: list[dict[str, Any]] = []
    titles = {}
    for number, (title, scale, own) in enumerate(several.values()):
        unit = numbers.common_unit([row["value"] for row in own], scale)
        titles[number] = f"{title} ({unit.name})" if unit.name else title
        for row in own:
            bounds = {end: row[end] / unit.factor for end in ("low", "high") if row.get(end)}
            rows.append({**row, **bounds, "of": number, "figure": titles[number],
                         "value": row["value"] / unit.factor})  # fmt: skip
    options = [Option(name, title) for name, title in zip(several, titles.values(), strict=True)]
    base, chosen = choice("y", "figure", options, lambda n: _spec(group, rows, n, titles[n]))
    fields = {"case": "case", "figure": "figure", "length": "length", "value": "value"}
    return Chart("length", "Length", growth(group), base, fields, choices=(chosen,))


def _latencies(group: Group) -> dict[str, tuple[str, numbers.Scale, list[dict[str, Any]]]]:
    """The latencies of each batch size, threads and runtime, over the lengths."""
    settings = latency_settings(group.cases)
    at_all = [{name: at[name] for name in at if name != "length"} for at in settings]
    distinct = [at for number, at in enumerate(at_all) if at not in at_all[:number]]
    named = [name for name in named_settings(group.cases, settings) if name != "length"]
    found = {}
    for at in distinct:
        rows = [row for case in group.cases for row in _over_lengths(group, case, at)]
        words = setting_words({"length": None, **at}, named)
        found[f"latency_{words.replace(', ', '_').replace(' ', '_')}"] = (
            f"latency, {words}", numbers.TIME, rows,
        )  # fmt: skip
    return found


def _over_lengths(
    group: Group, case: Mapping[str, Any], at: Mapping[str, Any]
) -> list[dict[str, Any]]:
    rows = []
    for entry in case["latency"]:
        own = measurement_settings(entry)
        length = own.pop("length") or case.get("length")
        if own == at and length is not None:
            rows.append({"case": group.names[case["id"]], "length": length,
                         "value": entry["median_s"], "low": entry["low_s"],
                         "high": entry["high_s"]})  # fmt: skip
    return rows


def _at_lengths(group: Group, name: str) -> list[dict[str, Any]]:
    return [
        {"case": group.names[case["id"]], "length": entry["length"], "value": entry[name]}
        for case in group.cases
        for entry in case.get("lengths") or ()
        if entry.get(name)
    ]


def _several(rows: list[dict[str, Any]]) -> bool:
    return len({row["length"] for row in rows}) > 1


def _spec(group: Group, rows: list[dict[str, Any]], number: int, title: str) -> Spec:
    order = group.order
    base = (
        alt.Chart()
        .transform_filter(alt.FieldEqualPredicate(field="of", equal=number))
        .encode(
            x=alt.X("length:Q", title="length (steps)", axis=alt.Axis(format="~s"),
                    scale=alt.Scale(type="log", base=2, nice=False, padding=10)),
            color=color(order),
        )
    )  # fmt: skip
    y = alt.Y("value:Q", title=title, scale=alt.Scale(type="log", nice=False, padding=10))
    tips = ["case:N", "length:Q", alt.Tooltip("value:Q", title=title, format=",.4~g")]
    bars = base.transform_filter("isValid(datum.low)").mark_rule()
    chart = alt.layer(
        bars.encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        base.mark_line(strokeWidth=1.4).encode(y=y, strokeDash=dash(order)),
        base.mark_point(filled=True, size=45).encode(y=y, shape=shape(order), tooltip=tips),
    )
    return specification(chart, rows)
