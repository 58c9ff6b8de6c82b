"""Which classes are taken for which others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from seqbench.errors import UsageError
from seqbench.report.charts.chart import Chart, Option, Spec, absent, choice
from seqbench.report.charts.marks import specification
from seqbench.report.charts.source import Group, drawable
from seqbench.report.views.confusion import MOST_CLASSES, Confusion, confusion_of, percent

Found = Mapping[str, Confusion]


def confusion(group: Group) -> Chart:
    """The confusion matrix of one case on the test split, summed over its seeds."""
    found: dict[str, Confusion] = {}
    reasons = []
    for case in group.cases:
        try:
            found[case["id"]] = confusion_of(case, group.data.document)
        except UsageError as error:
            reasons.append(str(error))  # that of the best case comes first
    why = reasons[0] if reasons else "there is no case"
    small = {key: one for key, one in found.items() if len(one.classes) <= MOST_CLASSES}
    if found and not small:
        why = f"more than {MOST_CLASSES} classes: `seqbench show --confusion` lists them"
    if not small:
        return absent("confusion", "Confusion", why)
    rows = [row for key, one in small.items() for row in _cells(group.names[key], one)]
    names = [group.names[key] for key in small]
    options = [
        Option(key, group.names[key], f"{one.basis}. {_most_frequent(one)}")
        for key, one in small.items()
    ]
    matrices = list(small.values())
    base, chosen = choice(
        "case", "of", options, lambda n: _matrix(rows, names[n], matrices[n].classes)
    )
    fields = {"case": "case", "true": "true class", "predicted": "predicted", "text": "% of true",
              "count": "predictions"}  # fmt: skip
    return Chart("confusion", "Confusion", _sentence(group, small), base, fields, choices=(chosen,))


def _cells(name: str, found: Confusion) -> list[dict[str, Any]]:
    """The classes have numbers before their names, so that equal names stay apart."""
    places = range(len(found.classes))
    return [
        {"case": name, "true": _class(found.classes, t), "predicted": _class(found.classes, p),
         "share": found.share(t, p), "text": percent(found.share(t, p), short=True),
         "count": found.counts[t][p]}
        for t in places for p in places
    ]  # fmt: skip


def _class(classes: Sequence[str], number: int) -> str:
    unique = classes.count(classes[number]) == 1
    return drawable(classes[number]) if unique else f"{number} {classes[number]}"


def _most_frequent(found: Confusion) -> str:
    errors = found.most_frequent()
    if not errors:
        return "No errors."
    true, predicted = errors[0]
    share = percent(found.share(true, predicted))
    return (
        f"The most frequent error: {share} % of {found.classes[true]} are taken for "
        f"{found.classes[predicted]}."
    )


def _sentence(group: Group, found: Found) -> str:
    """The error that most cases make most often."""
    first = [
        (one.classes[errors[0][0]], one.classes[errors[0][1]])
        for one in found.values()
        if (errors := one.most_frequent())
    ]
    if not first:
        return "No case makes an error on the test split."
    pair = max(dict.fromkeys(first), key=first.count)
    who = (
        "every case" if first.count(pair) == len(found) else f"{first.count(pair)} of {len(found)}"
    )
    if len(found) == 1:
        who = group.names[next(iter(found))]
    return f"{pair[0]} taken for {pair[1]} is the most frequent error of {who}."


def _matrix(rows: Sequence[Mapping[str, Any]], name: str, classes: Sequence[str]) -> Spec:
    order = [_class(classes, number) for number in range(len(classes))]
    base = (
        alt.Chart()
        .transform_filter(alt.FieldEqualPredicate(field="case", equal=name))
        .encode(
            x=alt.X("predicted:N", title="predicted", scale=alt.Scale(domain=order),
                    axis=alt.Axis(labelAngle=-40, labelOverlap=False)),
            y=alt.Y("true:N", title="true class", scale=alt.Scale(domain=order),
                    axis=alt.Axis(labelOverlap=False)),
            tooltip=["true:N", "predicted:N", alt.Tooltip("text:N", title="% of true"), "count:Q"],
        )
    )  # fmt: skip
    fill = base.mark_rect().encode(
        color=alt.value(COLOR),
        opacity=alt.Opacity("share:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0, 0.6])),
    )
    text = base.mark_text(style="label").encode(text="text:N")
    chart = alt.layer(fill, text)
    return specification(chart.properties(width=alt.Step(38), height=alt.Step(24)), rows)


#: Of correct and wrong predictions; the figure in the cell says which share it stands for.
COLOR = "#0072B2"
