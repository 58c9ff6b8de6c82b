"""Learning curves: one line for each seed, and the epoch whose weights count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from seqbench.report.charts.chart import Chart, Option, Spec, absent, choice
from seqbench.report.charts.marks import color, dash, specification, tooltip_title
from seqbench.report.charts.sentences import chosen_epochs
from seqbench.report.charts.source import Group
from seqbench.report.names import period_word, repetition

#: What the curves can run over. Quiet: steps × the time of a step with nothing else running.
OVER = {
    "epoch": "epoch",
    "steps": "optimizer steps",
    "quiet": "quiet seconds (steps × time of a step with nothing else running)",
    "seconds": "seconds since the start (with whatever ran beside it)",
}

#: A logarithmic axis is used for figures that span such a factor.
WIDE = 30.0

LOSSES = {"train_loss": "training loss", "validation_loss": "validation loss"}


def curves(group: Group) -> Chart:
    """The validation metric over the epochs by default."""
    share = group.share
    rows = [row for case in group.cases for row in _rows(group, case, share)]
    if not rows:
        why = "trials/*.json hold no learning curve of this dataset"
        return absent("curves", "Learning curves", why)
    of = {"validation": f"validation {group.metric_title}", **LOSSES}
    titles = {**OVER, "epoch": period_word(group.cases)}
    over = {name: title for name, title in titles.items() if _has(rows, name)}
    of = {name: title for name, title in of.items() if _has(rows, name)}

    def draw(x: str, y: str) -> Spec:
        return _spec(group, rows, (x, over[x]), (y, of[y]))

    xs, ys = list(over), list(of)
    options = [Option(name, over[name]) for name in xs]
    base, by_x = choice("x", "over", options, lambda n: draw(xs[n], ys[0]))
    options = [Option(name, of[name]) for name in ys]
    _, by_y = choice("y", "figure", options, lambda n: draw(xs[0], ys[n]))
    fields = {"case": "case", "seed": "seed", **over, **of, "chosen": "weights that count"}
    return Chart(
        "curves", "Learning curves", chosen_epochs(group), base, fields, choices=(by_x, by_y)
    )


def _has(rows: list[dict[str, Any]], name: str) -> bool:
    return any(row.get(name) is not None for row in rows)


def _rows(group: Group, case: Mapping[str, Any], share: bool) -> list[dict[str, Any]]:
    step = (case.get("training_step") or {}).get("median_s")
    rows: list[dict[str, Any]] = []
    for trial in group.trials(case):
        best = trial["metrics"].get("best_epoch")
        name = group.names[case["id"]]
        curve = group.data.curves.get(trial["id"], ())
        elapsed = 0.0
        for entry in curve:
            elapsed += entry["seconds"]
            steps = entry.get("steps")
            validation = entry.get("validation")
            chosen = entry["epoch"] == (curve[-1]["epoch"] if best is None else best)
            rows.append({
                "case": name, "seed": repetition(trial), "line": trial["id"],
                "epoch": entry["epoch"],
                "steps": steps, "seconds": elapsed,
                "quiet": steps * step if steps is not None and step is not None else None,
                "train_loss": entry["train_loss"],
                "validation_loss": entry.get("validation_loss"),
                "validation": None if validation is None else validation * (100 if share else 1),
                "chosen": chosen and trial["status"] == "ok",
            })  # fmt: skip
    return rows


def _spec(group: Group, rows: list[dict[str, Any]], x: tuple[str, str], y: tuple[str, str]) -> Spec:
    order = group.order
    whole = x[0] in ("epoch", "steps")
    across = alt.X(
        f"{x[0]}:Q",
        title=x[1],
        scale=alt.Scale(zero=False, nice=False),
        axis=alt.Axis(tickMinStep=1 if whole else 0, format="~s" if x[0] == "steps" else "~g"),
    )
    up = alt.Y(f"{y[0]}:Q", title=y[1], scale=_scale(rows, y[0]))
    tips = [
        "case:N",
        "seed:N",
        "epoch:Q",
        alt.Tooltip(f"{y[0]}:Q", title=tooltip_title(y[1]), format=".4~g"),
    ]
    base = (
        alt.Chart()
        .transform_filter(f"isValid(datum.{x[0]})")
        .transform_filter(f"isValid(datum.{y[0]})")
        .encode(x=across, y=up)
    )
    line = base.mark_line(strokeWidth=1.4, opacity=0.85).encode(
        color=color(order, lines=True), strokeDash=dash(order), detail="line:N"
    )
    chosen = base.transform_filter("datum.chosen").mark_point(filled=True, size=32)
    layers = alt.layer(line, chosen.encode(color=color(order, lines=True), tooltip=tips))
    return specification(layers, rows)


def _scale(rows: list[dict[str, Any]], name: str) -> alt.Scale:
    """A logarithmic scale for errors and losses that fall by orders of magnitude."""
    values = [row[name] for row in rows if row.get(name) is not None]
    if min(values) <= 0 or max(values) < WIDE * min(values):
        return alt.Scale(zero=False)
    return alt.Scale(type="log", nice=False, padding=6)
