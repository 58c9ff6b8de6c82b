"""Every pair of cases: who is better, by how much, and the seeds and rounds behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from seqbench.report.charts.calls import round_medians
from seqbench.report.charts.chart import Chart, Option, Spec, absent, choice
from seqbench.report.charts.marks import specification
from seqbench.report.charts.sentences import metric_is_share, pairs_in_words
from seqbench.report.charts.source import Group
from seqbench.report.charts.theme import BETTER, COLORS, EQUIVALENT, UNDECIDED, WORSE
from seqbench.report.columns.column import Column
from seqbench.report.columns.letters import at_settings
from seqbench.report.columns.speed import latency_settings
from seqbench.report.views.pairs import Found, effect_text, in_words, share_of

VERDICTS = {
    "better": ("row is better", BETTER, "▲"),
    "worse": ("row is worse", WORSE, "▼"),
    "equivalent": ("equivalent", EQUIVALENT, "="),
    "no difference": ("not distinguishable", UNDECIDED, "·"),
    "too few seeds": ("too few seeds", UNDECIDED, "?"),
}

TURNED = {"better": "worse", "worse": "better"}

#: A square matrix of more rows is wider than a page.
MOST_ROWS = 16


def compared_columns(group: Group) -> list[Column]:
    """The columns whose cases were compared in pairs, the metric first."""
    return [column for column in group.table.columns if column.compared is not None]


def pairs(group: Group) -> Chart:
    """A matrix for each quantity that was compared: each row against each column."""
    columns = [(column, _pairs_in(group, column)) for column in compared_columns(group)]
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
        Option(column.field, name, pairs_in_words(group, found))
        for (column, found), name in zip(columns, names, strict=True)
    ]
    base, chosen = choice("quantity", "in", options, lambda n: _matrix(group, rows, n))
    fields = {"row": "case", "column": "compared with", "text": "effect", "verdict": "verdict",
              "words": "in words"}  # fmt: skip
    return Chart(
        "pairs", "Pairs", pairs_in_words(group, columns[0][1]), base, fields, choices=(chosen,)
    )


def _pairs_in(group: Group, column: Column) -> list[Found]:
    assert column.compared is not None
    drawn = {case["id"] for case in group.cases[:MOST_ROWS]}
    every = group.source.document.get("comparisons") or ()
    own = [each for each in every if each["a"] in drawn and each["b"] in drawn]
    return at_settings(own, *column.compared) if own else []


def _cells(group: Group, found: Found, number: int) -> list[dict[str, Any]]:
    """The cell of ``a`` against ``b``, and that of ``b`` against ``a``."""
    a, b = (group.names[found[end]] for end in ("a", "b"))
    share = share_of(found, group.table.cases)
    turned = turn(found)
    pair = pair_name(found)
    return [
        {"row": row, "column": column, "of": number, "text": effect_text(each, share),
         "mark": VERDICTS[each["verdict"]][2], "verdict": VERDICTS[each["verdict"]][0],
         "words": in_words(each, row, column, share=share), "pair": pair}
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
    return specification(chart.properties(width=alt.Step(78), height=alt.Step(40)), rows)


def pair_of_seeds(group: Group) -> Chart:
    """The seeds of two cases, joined by lines where both have the same seed."""
    found = _metric_pairs(group)
    share = metric_is_share(group)
    rows = [
        {"id": case["id"], "case": group.names[case["id"]], "seed": trial["seed"],
         "value": trial["metrics"]["value"] * (100 if share else 1)}
        for case in group.cases[:MOST_ROWS]
        for trial in group.trials(case)
        if trial["status"] == "ok"
    ]  # fmt: skip
    if not found or not rows:
        why = "no cases were compared over seeds"
        return absent("pair-seeds", "Seeds of a pair", why)
    unit = " (%)" if share else ""

    def draw(number: int) -> Spec:
        return _seeds(group, found[number], rows, f"{group.table.metric}{unit}")

    base, chosen = choice("pair", "pair", _pair_options(group, found), draw)
    fields = {"case": "case", "seed": "seed", "value": group.table.metric}
    return Chart("pair-seeds", "Seeds of a pair", "", base, fields, choices=(chosen,))


def _metric_pairs(group: Group) -> list[Found]:
    columns = [c for c in compared_columns(group) if c.field == group.table.metric]
    return _pairs_in(group, columns[0]) if columns else []


def _pair_options(group: Group, found: Sequence[Found]) -> list[Option]:
    options = []
    for each in found:
        a, b = (group.names[each[end]] for end in ("a", "b"))
        words = in_words(each, a, b, share=share_of(each, group.table.cases))
        options.append(Option(pair_name(each), f"{a} and {b}", words))
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
        tooltip=["case:N", "seed:N", alt.Tooltip("value:Q", title=title, format=".4~g")]
    )
    return specification(alt.layer(lines, dots), rows)


def pair_of_rounds(group: Group) -> Chart:
    """The latency of one case divided by that of another, in each round that both took part in."""
    columns = [c for c in compared_columns(group) if c.compared and c.compared[0] == "latency"]
    found = _pairs_in(group, columns[0]) if columns else []
    settings = latency_settings(group.cases)
    medians = {case["id"]: round_medians(group, case, settings) for case in group.cases[:MOST_ROWS]}
    rows = [
        row
        for number, each in enumerate(found)
        for row in _ratios(number, medians[each["a"]], medians[each["b"]])
    ]
    if not rows:
        missing = [group.source.no_calls.get(case["id"], "") for case in group.cases]
        why = next(filter(None, missing), "latency was not compared")
        return absent("pair-rounds", "Rounds of a pair", why)
    options = _pair_options(group, found)
    base, chosen = choice(
        "pair", "pair", options, lambda n: _ratio_lines(rows, n, options[n].label)
    )
    fields = {"process": "process", "round": "round", "ratio": "ratio"}
    return Chart("pair-rounds", "Rounds of a pair", "", base, fields, choices=(chosen,))


Medians = Mapping[tuple[int, int], float]


def _ratios(number: int, a: Medians, b: Medians) -> list[dict[str, Any]]:
    shared = sorted(a.keys() & b.keys())
    return [
        {"pair": number, "process": place[0], "round": n, "ratio": a[place] / b[place]}
        for n, place in enumerate(shared)
    ]


def _ratio_lines(rows: Sequence[Mapping[str, Any]], number: int, label: str) -> Spec:
    base = alt.Chart().transform_filter(alt.FieldEqualPredicate(field="pair", equal=number))
    line = base.mark_line(strokeWidth=1.2, point={"size": 18}, color=COLORS[0]).encode(
        x=alt.X("round:Q", title="round that both took part in"),
        y=alt.Y("ratio:Q", title=label.replace(" and ", " ÷ ", 1), scale=alt.Scale(zero=False)),
        detail="process:N",
    )
    even = alt.Chart().mark_rule(strokeDash=[4, 3], style="ink").encode(y=alt.datum(1))
    return specification(alt.layer(even, line), rows)
