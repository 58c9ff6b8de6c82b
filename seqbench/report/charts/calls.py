"""Every call that was timed: how long calls take by process, and whether that drifted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import median
from typing import Any

import altair as alt

from seqbench.report import numbers
from seqbench.report.charts.chart import Chart, Option, Spec, absent, choice
from seqbench.report.charts.marks import color, dash, specification
from seqbench.report.charts.sentences import drift_of_calls, slow_calls
from seqbench.report.charts.source import Group
from seqbench.report.columns.speed import (
    latency_settings,
    measurement_settings,
    named_settings,
    setting_words,
)
from seqbench.report.verdict.statement import listed
from seqbench.summary.calls import Calls

#: The distribution of a process is drawn from so many quantiles, closer together in its upper tail.
QUANTILES = (0.0, *(n / 40 for n in range(1, 40)), 0.98, 0.99, 0.995, 0.999, 1.0)

#: More settings are not offered, for the size of the page.
MOST_SETTINGS = 8

Settings = Mapping[str, Any]


def latency(group: Group) -> Chart:
    """The distribution of calls: a line for each process of each case."""
    return _chart(group, ("latency", "Calls"), slow_calls(group), _quantiles, _distribution)


def drift(group: Group) -> Chart:
    """The median of each round, divided by the case's median over all rounds."""
    chart = _chart(group, ("drift", "Drift"), drift_of_calls(group), _rounds, _over_rounds)
    return replace(chart, hint="A gap in a line: a new process.")


def _chart(
    group: Group,
    about: tuple[str, str],
    sentence: str,
    rows_of: Callable[[Calls], list[dict[str, Any]]],
    draw: Callable[[Group, list[dict[str, Any]], int, str], Spec],
) -> Chart:
    """A chart of the samples, with a choice of the settings that were timed."""
    settings = latency_settings(group.cases)[:MOST_SETTINGS]
    rows = [
        {"case": group.names[case["id"]], "setting": number, **row}
        for number, at in enumerate(settings)
        for case in group.cases
        for calls in _calls_at(group, case, at)
        for row in rows_of(calls)
    ]
    if not rows:
        return absent(*about, why_no_calls(group))
    named = named_settings(group.cases, latency_settings(group.cases))
    words = [setting_words(at, named) for at in settings]
    unit = numbers.common_unit([row["value"] for row in rows if row.get("value")], numbers.TIME)
    for row in rows:
        row["value"] = _short(row["value"] / unit.factor)
    left = len(latency_settings(group.cases)) - len(settings)
    more = f" {left} more settings are not drawn." if left else ""
    options = [Option(text.replace(", ", "-").replace(" ", "_"), text) for text in words]
    base, chosen = choice(
        "setting", "at", options, lambda n: draw(group, rows, n, f"{words[n]} ({unit.name})")
    )
    fields = {"case": "case", "process": "process", "round": "round", "share": "share of calls",
              "value": f"latency ({unit.name})", "ratio": "÷ median of the case"}  # fmt: skip
    fields = {name: title for name, title in fields.items() if name in rows[0]}
    sentence = " ".join(filter(None, [f"{sentence}{more}", without_samples(group)]))
    return Chart(*about, sentence, base, fields, choices=(chosen,))


def without_samples(group: Group) -> str:
    """Which cases are not drawn, although latency was measured."""
    named = [group.names[c["id"]] for c in group.cases
             if c["latency"] and c["id"] not in group.data.calls]  # fmt: skip
    return f"Without samples, so not drawn: {listed(named)}." if named else ""


def _short(value: float) -> float:
    """Five significant digits, which no chart shows: they make the page a third smaller."""
    return float(f"{value:.5g}")


def why_no_calls(group: Group) -> str:
    """Why no samples can be drawn."""
    reasons = [group.data.no_calls.get(case["id"], "") for case in group.cases]
    known = [reason for reason in reasons if reason]
    if known:
        return known[0]
    if (group.data.document.get("measure") or {}).get("latency"):
        return "no latency has been measured yet, or all measurements failed"
    return "latency was not measured (`measure.latency` in the suite)"


def _calls_at(group: Group, case: Mapping[str, Any], at: Settings) -> list[Calls]:
    found = group.data.calls.get(case["id"], ())
    return [
        calls
        for calls in found
        if calls.quantity == "latency"
        and calls.status == "ok"
        and measurement_settings(calls.settings) == at
    ]


def _quantiles(calls: Calls) -> list[dict[str, Any]]:
    rows = []
    for process, blocks in enumerate(calls.processes):
        times = sorted(call for block in blocks for call in block)
        places = dict.fromkeys(round(q * (len(times) - 1)) for q in QUANTILES)
        rows += [
            {"process": process, "share": _short((place + 1) / len(times)), "value": times[place]}
            for place in places
        ]
    return rows


def _rounds(calls: Calls) -> list[dict[str, Any]]:
    """The processes follow each other, so that rounds are counted through."""
    figures = calls.round_figures
    medians = [
        (number, figures[process][block])
        for number, process in enumerate(sorted(figures))
        for block in sorted(figures[process])
    ]
    if not medians:
        return []
    middle = median(value for _, value in medians)
    return [
        {"process": process, "round": number, "value": value, "ratio": _short(value / middle)}
        for number, (process, value) in enumerate(medians)
    ]


def _distribution(group: Group, rows: list[dict[str, Any]], setting: int, words: str) -> Spec:
    order, scale = group.order, alt.Scale(type="log", nice=False, padding=6)
    chart = (
        alt.Chart()
        .transform_filter(alt.FieldEqualPredicate(field="setting", equal=setting))
        .mark_line(interpolate="step-after", strokeWidth=1.3, opacity=0.85)
        .encode(
            x=alt.X("value:Q", title=f"latency at {words}", scale=scale),
            y=alt.Y("share:Q", title="share of calls", axis=alt.Axis(format="%")),
            color=color(order, lines=True),
            strokeDash=dash(order),
            detail="process:N",
            order="share:Q",
        )
    )
    return specification(chart, rows)


def _over_rounds(group: Group, rows: list[dict[str, Any]], setting: int, words: str) -> Spec:
    order = group.order
    base = alt.Chart().transform_filter(alt.FieldEqualPredicate(field="setting", equal=setting))
    line = base.mark_line(strokeWidth=1.2, opacity=0.85).encode(
        x=alt.X("round:Q", title=f"round, at {words.partition(' (')[0]}"),
        y=alt.Y("ratio:Q", title="median of the round ÷ of the case", scale=alt.Scale(zero=False)),
        color=color(order, lines=True),
        strokeDash=dash(order),
        detail="process:N",
    )
    return specification(alt.layer(line), rows)


def round_medians(
    group: Group, case: Mapping[str, Any], at: Settings
) -> dict[tuple[int, int], float]:
    """The figure of each round in seconds, by process and round, at these settings."""
    for calls in _calls_at(group, case, at):
        return {
            (process, number): figure
            for process, rounds in calls.round_figures.items()
            for number, figure in rounds.items()
        }
    return {}
