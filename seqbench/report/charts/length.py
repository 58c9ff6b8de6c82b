"""Figures against the length of the sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from seqbench.records import AS_DATA
from seqbench.report import numbers
from seqbench.report.charts.chart import Chart, Option, Spec, absent, choice
from seqbench.report.charts.marks import color, dash, shape, specification
from seqbench.report.charts.parts import figures_on_parts, spec_of
from seqbench.report.charts.sentences import growth_of, growth_of_latency
from seqbench.report.charts.source import Group
from seqbench.report.columns.speed import (
    latency_settings,
    measurement_settings,
    named_settings,
    setting_words,
)

#: The figures of the document at each length: title, units, the key of the exponent, and what has
#: that exponent.
AT_LENGTH = {
    "inference_bytes": ("memory in inference", numbers.BYTES, "memory_inference",
                        "Working memory in inference"),
    "training_bytes": ("memory in training", numbers.BYTES, "memory_training",
                       "Working memory in training"),
    "macs": ("MACs of one sequence", numbers.COUNT, "macs", "The number of MACs"),
}  # fmt: skip

Row = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A figure at several lengths, with a sentence on its growth."""

    name: str
    title: str
    scale: numbers.Scale
    rows: list[Row]
    sentence: str


def length(group: Group) -> Chart:
    """The metrics on each part of the test split, then latency, memory and multiply-accumulates
    against the length, on logarithmic axes.
    """
    on_parts = list(figures_on_parts(group))
    found = [*_latencies(group), *_others(group)]
    several = [one for one in found if len({row["length"] for row in one.rows}) > 1]
    if not on_parts and not several:
        why = (
            "everything was measured at one length (`measure.latency.seq_lens` in the suite), and "
            "there are no figures by length of the test sequences"
        )
        return absent("length", "Length", why)
    rows: list[Row] = []
    options = []
    for number, figure in enumerate(on_parts):
        options.append(Option(figure.name, figure.title, sentence=figure.sentence))
        rows += [{**row, "of": number, "figure": figure.title} for row in figure.rows]
    for number, one in enumerate(several, start=len(on_parts)):
        unit = numbers.common_unit([row["value"] for row in one.rows], one.scale)
        title = f"{one.title} ({unit.name})" if unit.name else one.title
        options.append(Option(one.name, title, sentence=one.sentence))
        for row in one.rows:
            bounds = {end: row[end] / unit.factor for end in ("low", "high") if row.get(end)}
            value = row["value"] / unit.factor
            rows.append({**row, **bounds, "of": number, "figure": title, "value": value})

    def draw(number: int) -> Spec:
        if number < len(on_parts):
            return spec_of(group, on_parts[number], rows, number)
        return _spec(group, rows, number, options[number].label)

    base, chosen = choice("y", "figure", options, draw)
    named = {"part": "test set"} if any(figure.sets for figure in on_parts) else {}
    fields = {"case": "case", "figure": "figure", **named, "length": "length", "value": "value"}
    spans = [SPANS] if any(figure.apart for figure in on_parts) else []
    hint = " ".join([*spans, HOLLOW]) if on_parts else ""
    return Chart(
        "length", "Length", options[0].sentence, base, fields, choices=(chosen,), hint=hint
    )


SPANS = "A horizontal line spans the lengths of the sequences that a metric is of."

HOLLOW = "Hollow: a seed failed."


def _latencies(group: Group) -> Iterator[Figure]:
    """The latencies of each batch size, threads and runtime. Those with lengths as in the data have
    no place on an axis of lengths.
    """
    settings = latency_settings(group.cases)
    at_all = [{name: at[name] for name in at if name != "length"} for at in settings]
    distinct = [at for number, at in enumerate(at_all) if at not in at_all[:number]]
    named = [name for name in named_settings(group.cases, settings) if name != "length"]
    for at in distinct:
        rows = [row for case in group.cases for row in _over_lengths(group, case, at)]
        words = setting_words({"length": None, **at}, named)
        name = f"latency_{words.replace(', ', '_').replace(' ', '_')}"
        sentence = growth_of_latency(group, at, words)
        yield Figure(name, f"latency, {words}", numbers.TIME, rows, sentence)


def _others(group: Group) -> Iterator[Figure]:
    """Memory and multiply-accumulates."""
    for name, (title, scale, exponent, what) in AT_LENGTH.items():
        rows = [
            {"case": group.names[case["id"]], "length": entry["length"], "value": entry[name]}
            for case in group.cases
            for entry in case.get("lengths") or ()
            if entry.get(name)
        ]
        yield Figure(name, title, scale, rows, growth_of(group, exponent, what))


def _over_lengths(group: Group, case: Mapping[str, Any], at: Mapping[str, Any]) -> list[Row]:
    rows = []
    for entry in case["latency"]:
        own = measurement_settings(entry)
        length = own.pop("length") or case.get("length")
        if own == at and length not in (None, AS_DATA):
            rows.append({"case": group.names[case["id"]], "length": length,
                         "value": entry["median_s"], "low": entry["low_s"],
                         "high": entry["high_s"]})  # fmt: skip
    return rows


def _spec(group: Group, rows: list[Row], number: int, title: str) -> Spec:
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
