"""Every pair of cases: who is better, by how much, and the seeds and rounds behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from seqbench.report.charts.calls import round_medians, without_samples
from seqbench.report.charts.chart import Chart, Option, Spec, absent, choice
from seqbench.report.charts.marks import specification, tooltip_title
from seqbench.report.charts.sentences import pairs_in_words
from seqbench.report.charts.source import MOST_ROWS, Found, Group
from seqbench.report.charts.theme import BETTER, COLORS, EQUIVALENT, UNDECIDED, WORSE
from seqbench.report.columns.speed import latency_settings, named_settings, setting_words
from seqbench.report.names import repetition, resample_count
from seqbench.report.views.pairs import difference_unit, effect_text, in_words, share_of
from seqbench.summary.metric_pairs import TOO_FEW

VERDICTS = {
    "better": ("row is better", BETTER, "▲"),
    "worse": ("row is worse", WORSE, "▼"),
    "equivalent": ("equivalent", EQUIVALENT, "="),
    "no difference": ("not distinguishable", UNDECIDED, "·"),
    **{verdict: (verdict, UNDECIDED, "?") for verdict in TOO_FEW},
}

#: A matrix of more rows needs the whole width of a page, with smaller cells.
MOST_NARROW, CELL, SMALL_CELL = 6, 78, 60

TURNED = {"better": "worse", "worse": "better"}


def pairs(group: Group) -> Chart:
    """A matrix for each quantity that was compared: each row against each column."""
    columns = [(column, group.pairs(column)) for column in group.compared()]
    columns = [(column, found) for column, found in columns if found]
    if not columns:
        why = "no cases were compared: this needs two cases of one dataset and device"
        return absent("pairs", "Pairs", why)
    rows = [
        row
        for number, (_, found) in enumerate(columns)
        for each in found
        for row in _cells(group, each, number)
    ]
    names = [", ".join(filter(None, column.header[:2])) for column, _ in columns]
    options = [
        Option(column.field, name, _cells_are(found[0], group), pairs_in_words(group, found))
        for (column, found), name in zip(columns, names, strict=True)
    ]
    base, chosen = choice("quantity", "in", options, lambda n: _matrix(group, rows, n))
    fields = {"row": "case", "column": "compared with", "verdict": "verdict", "words": "in words"}
    wide = len(group.order[:MOST_ROWS]) > MOST_NARROW
    return Chart(
        "pairs",
        "Pairs",
        options[0].sentence,
        base,
        fields,
        choices=(chosen,),
        wide=wide,
        hint="Click a cell to see the seeds and the rounds of that pair.",
    )


def _cells_are(found: Found, group: Group) -> str:
    """What a cell holds."""
    if found["scale"] == "ratio":
        return "Cells: row ÷ column."
    unit = difference_unit(found, group.table.cases)
    return f"Cells: row - column{f', in {unit}' if unit else ''}."


def _cells(group: Group, found: Found, number: int) -> list[dict[str, Any]]:
    """The cell of ``a`` against ``b``, and that of ``b`` against ``a``."""
    a, b = (group.names[found[end]] for end in ("a", "b"))
    share, unit = share_of(found, group.table.cases), difference_unit(found, group.table.cases)
    turned, pair = turn(found), pair_name(found)
    return [
        {"row": row, "column": column, "of": number, "text": effect_text(each, share),
         "mark": VERDICTS[each["verdict"]][2], "verdict": VERDICTS[each["verdict"]][0],
         "words": in_words(each, row, column, share=share, unit=unit), "pair": pair}
        for row, column, each in ((a, b, found), (b, a, turned))
    ]  # fmt: skip


def pair_name(found: Found) -> str:
    """The ids of both cases: what the page's address has."""
    return f"{found['a']}~{found['b']}"


def turn(found: Found) -> Found:
    """The same comparison seen from ``b``."""
    ratio = found["scale"] == "ratio"

    def other(value: float | None) -> float | None:
        if value is None:
            return None
        return (1 / value if value else None) if ratio else -value

    beats = found.get("beats")
    return {
        **found,
        "a": found["b"],
        "b": found["a"],
        "effect": other(found["effect"]),
        "low": other(found["high"]),
        "high": other(found["low"]),
        "beats": None if beats is None else 1 - beats,
        "verdict": TURNED.get(found["verdict"], found["verdict"]),
    }


def _matrix(group: Group, rows: Sequence[Mapping[str, Any]], number: int) -> Spec:
    order = group.order[:MOST_ROWS]
    words = list(dict.fromkeys(VERDICTS[name][0] for name in VERDICTS))
    colors = list(dict.fromkeys((VERDICTS[name][0], VERDICTS[name][1]) for name in VERDICTS))
    base = (
        alt.Chart()
        .transform_filter(alt.FieldEqualPredicate(field="of", equal=number))
        .encode(
            x=alt.X("column:N", title="compared with", scale=alt.Scale(domain=order),
                    axis=alt.Axis(orient="top", labelAngle=-90, labelOverlap=False)),
            y=alt.Y("row:N", title=None, scale=alt.Scale(domain=order),
                    axis=alt.Axis(labelOverlap=False)),
            tooltip=alt.Tooltip("words:N", title="pair"),
        )
    )  # fmt: skip
    fill = base.mark_rect(cursor="pointer", opacity=0.35).encode(
        color=alt.Color(
            "verdict:N", title=None, legend=alt.Legend(orient="bottom", columns=2),
            scale=alt.Scale(domain=words, range=[color for _, color in colors]),
        )
    )  # fmt: skip
    effect = base.mark_text(dy=-6, style="label", cursor="pointer").encode(text="text:N")
    mark = base.mark_text(dy=8, style="label", cursor="pointer").encode(text="mark:N")
    chart = alt.layer(fill, effect, mark)
    cell = CELL if len(order) <= MOST_NARROW else SMALL_CELL
    return specification(chart.properties(width=alt.Step(cell), height=alt.Step(40)), rows)


def pair_of_seeds(group: Group) -> Chart:
    """The seeds of two cases, joined by lines where both have the same seed."""
    columns = group.compared(group.table.metric)
    found = group.pairs(columns[0]) if columns else []
    share = group.share
    rows = [
        {"id": case["id"], "case": group.names[case["id"]], "seed": repetition(trial),
         "value": trial["metrics"]["value"] * (100 if share else 1)}
        for case in group.cases[:MOST_ROWS]
        for trial in group.trials(case)
        if trial["status"] == "ok"
    ]  # fmt: skip
    if not found or not rows:
        why = "no cases were compared over seeds"
        return absent("pair-seeds", "Seeds of a pair", why)

    def draw(number: int) -> Spec:
        return _seeds(group, found[number], rows, group.metric_title)

    base, chosen = choice("pair", "pair", _pair_options(group, found), draw)
    fields = {"case": "case", "seed": "seed", "value": group.table.metric}
    pooled = any(map(resample_count, group.cases))
    hint = f"Each line joins the figures of one {'resample and ' if pooled else ''}seed."
    return Chart("pair-seeds", "Seeds of a pair", "", base, fields, choices=(chosen,), hint=hint)


def _pair_options(group: Group, found: Sequence[Found]) -> list[Option]:
    options = []
    for each in found:
        a, b = (group.names[each[end]] for end in ("a", "b"))
        unit = difference_unit(each, group.table.cases)
        words = in_words(each, a, b, share=share_of(each, group.table.cases), unit=unit)
        options.append(Option(pair_name(each), f"{a} and {b}", sentence=words))
    return options


def _seeds(group: Group, found: Found, rows: Sequence[Mapping[str, Any]], title: str) -> Spec:
    ids = [found["a"], found["b"]]
    names = [group.names[one] for one in ids]
    base = (
        alt.Chart()
        .transform_filter(alt.FieldOneOfPredicate(field="id", oneOf=ids))
        .encode(
            x=alt.X("case:N", title=None, scale=alt.Scale(domain=names),
                    axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
        )
    )  # fmt: skip
    lines = base.mark_line(strokeWidth=1, opacity=0.7, style="ink").encode(detail="seed:N")
    dots = base.mark_point(filled=True, size=60, color=COLORS[0]).encode(
        tooltip=[
            "case:N",
            "seed:N",
            alt.Tooltip("value:Q", title=tooltip_title(title), format=".4~g"),
        ]
    )
    return specification(alt.layer(lines, dots), rows)


def pair_of_rounds(group: Group) -> Chart:
    """The latency of one case divided by that of another, in each round that both took part in."""
    columns = group.compared("latency")
    at = columns[0].at if columns else None
    drawn = group.cases[:MOST_ROWS] if at is not None else []
    medians = {case["id"]: round_medians(group, case, at or {}) for case in drawn}
    every = group.pairs(columns[0]) if columns else []
    found = [each for each in every if medians[each["a"]] and medians[each["b"]]]
    rows = [
        row
        for number, each in enumerate(found)
        for row in _ratios(number, medians[each["a"]], medians[each["b"]])
    ]
    if not rows:
        missing = [group.data.no_calls.get(case["id"], "") for case in group.cases]
        why = next(filter(None, missing), "latency was not compared")
        return absent("pair-rounds", "Rounds of a pair", why)
    words = setting_words(at or {}, named_settings(group.cases, latency_settings(group.cases)))

    def draw(number: int) -> Spec:
        a, b = (group.names[found[number][end]] for end in ("a", "b"))
        return _ratio_lines(rows, number, f"{a} ÷ {b}", words)

    base, chosen = choice("pair", "pair", _pair_options(group, found), draw)
    fields = {"process": "process", "round": "round", "ratio": "ratio"}
    hint = " ".join(filter(None, ["A gap in the line: a new process.", without_samples(group)]))
    return Chart("pair-rounds", "Rounds of a pair", "", base, fields, choices=(chosen,), hint=hint)


Medians = Mapping[tuple[int, int], float]


def _ratios(number: int, a: Medians, b: Medians) -> list[dict[str, Any]]:
    shared = sorted(a.keys() & b.keys())
    return [
        {"pair": number, "process": place[0], "round": n, "ratio": a[place] / b[place]}
        for n, place in enumerate(shared)
    ]


def _ratio_lines(rows: Sequence[Mapping[str, Any]], number: int, title: str, setting: str) -> Spec:
    base = alt.Chart().transform_filter(alt.FieldEqualPredicate(field="pair", equal=number))
    whole = alt.Axis(tickMinStep=1)
    line = base.mark_line(strokeWidth=1.2, point={"size": 18}, color=COLORS[0]).encode(
        x=alt.X("round:Q", title=f"round that both took part in, at {setting}", axis=whole),
        y=alt.Y("ratio:Q", title=title, scale=alt.Scale(zero=False)),
        detail="process:N",
    )
    even = alt.Chart().mark_rule(strokeDash=[4, 3], style="ink").encode(y=alt.datum(1))
    return specification(alt.layer(even, line), rows)
