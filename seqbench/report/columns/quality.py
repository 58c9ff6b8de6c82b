"""Columns of accuracy, metrics, steps to target and published figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from seqbench.report import numbers
from seqbench.report.columns.column import EXPORT_ONLY, Better, Case, Column, Document
from seqbench.report.columns.make import exact, interval, quantity, whole
from seqbench.report.numbers import INFINITE, MISSING, Estimate
from seqbench.report.text import clean, target_words


def metric_of(cases: Sequence[Case], document: Document) -> tuple[str, Better]:
    """The metric of a dataset and its direction; also where no trial of it ended well."""
    for case in cases:
        if case["metric"]:
            higher = case["metric"]["higher_is_better"]
            return case["metric"]["name"], "higher" if higher else "lower"
    ids = {case["id"] for case in cases}
    named = [t["metric"] for t in document["trials"] if t["case"] in ids and t.get("metric")]
    return (named or ["metric"])[0], "lower" if "mse" in named else "higher"


def quality_columns(cases: Sequence[Case], metric: str, better: Better) -> Iterable[Column]:
    """The metric over the seeds, at the last epoch too, and the reference values."""
    share = metric == "accuracy"
    measured = [interval(case["metric"], "mean") for case in cases]
    last = [interval((case["metric"] or {}).get("last"), "mean") for case in cases]
    decimals = numbers.percent_decimals([*measured, *last])

    def texts(estimates: Sequence[Estimate | None]) -> tuple[str, ...]:
        if share:
            return tuple(numbers.percentages(estimates, decimals))
        return tuple(numbers.figures_with_interval(estimates))

    unit = _unit(share)
    header = f"test {metric}"
    yield _over_seeds(cases, metric, (header, "", unit), measured, texts(measured), better, metric)
    for name, figures in ((metric, measured), (f"{metric}_last", last)):
        yield from _reference(cases, name, figures, texts)
    yield Column(
        f"{metric}_last", "", (header, "last epoch", unit), "quality", tuple(last), texts(last),
        interval=True, rank=8 if last != measured else EXPORT_ONLY,
    )  # fmt: skip
    seeds = [exact(case["seeds"].get("ok", 0)) for case in cases]
    yield Column("seeds_ok", "", ("seeds", "", ""), "quality", tuple(seeds), whole(seeds))


def _over_seeds(
    cases: Sequence[Case],
    name: str,
    header: tuple[str, str, str],
    measured: Sequence[Estimate | None],
    texts: tuple[str, ...],
    better: Better,
    field: str,
) -> Column:
    """A figure over the seeds, compared in pairs; that of mere survivors has no rival."""
    rivals = tuple("all" if set(case["seeds"]) <= {"ok"} else "" for case in cases)
    return Column(
        field, "", header, "quality", tuple(measured), texts, better, True,
        rivals=rivals, compared=(name, {}),
    )  # fmt: skip


def _unit(share: bool) -> str:
    return "% ± 95 %" if share else "± 95 %"


def score_columns(cases: Sequence[Case]) -> Iterable[Column]:
    """The metrics of plugins."""
    every = [case.get("scores") or {} for case in cases]
    for name in dict.fromkeys(name for scores in every for name in scores):
        about = next(scores[name] for scores in every if name in scores)
        measured = [interval(scores.get(name), "mean") for scores in every]
        if about["share"]:
            texts = numbers.percentages(measured, numbers.percent_decimals(measured))
        else:
            texts = numbers.figures_with_interval(measured)
        head, _, params = clean(name).partition(" ")
        header = (f"test {head}", params, _unit(about["share"]))
        better: Better = "higher" if about["higher_is_better"] else "lower"
        field = f"score_{name}"
        yield _over_seeds(cases, name, header, measured, tuple(texts), better, field)


def target_columns(cases: Sequence[Case], target: Mapping[str, Any] | None) -> Iterable[Column]:
    """The steps to the suite's target, and the time that they would take undisturbed."""
    if not target:
        return
    found = [case.get("target") or {"reason": "no seed has ended"} for case in cases]
    steps = [_or_infinite(one, "steps", one["reason"]) for one in found]
    texts = tuple(_steps_text(one, e) for one, e in zip(found, steps, strict=True))
    at = target_words(target)
    yield Column("steps_to_target", "", ("steps to target", at, ""), "quality", tuple(steps), texts)
    times = [_or_infinite(one, "seconds", one.get("seconds_reason", "-")) for one in found]
    finite = [e if e and math.isfinite(e.value) else None for e in times]
    column = quantity(
        "time_to_target", ("time to target", "steps × quiet step time"), finite,
        si="s", group="quality", scale=numbers.TIME, rank=1,
    )  # fmt: skip
    texts = tuple(
        INFINITE if e and not f else text
        for e, f, text in zip(times, finite, column.texts, strict=True)
    )
    yield replace(column, estimates=tuple(times), texts=texts)


def _or_infinite(found: Mapping[str, Any], name: str, reason: str) -> Estimate | None:
    """A figure of a target; infinite where there is none and no ``reason`` why."""
    value = found.get(name)
    if value is None:
        return None if reason else Estimate(math.inf)
    return Estimate(value)


def _steps_text(found: Mapping[str, Any], steps: Estimate | None) -> str:
    """``940``, or ``940 (2 of 3)`` where not all seeds reached it."""
    if steps is None:
        return MISSING
    text = f"{steps.value:,.0f}" if math.isfinite(steps.value) else INFINITE
    missed = found["reached"] < found["of"]
    return f"{text} ({found['reached']} of {found['of']})" if missed else text


def _reference(
    cases: Sequence[Case],
    name: str,
    measured: Sequence[Estimate | None],
    texts: Callable[[Sequence[Estimate | None]], tuple[str, ...]],
) -> Iterable[Column]:
    """What others have reported, and how far the measured figure is from it."""
    given = tuple(exact(case["reference"].get(name)) for case in cases)
    apart = tuple(
        Estimate(m.value - g.value) if m and g else None
        for m, g in zip(measured, given, strict=True)
    )
    share, at = name.startswith("accuracy"), "last epoch" if name.endswith("_last") else ""
    header = ("reference", at, "%" if share else "")
    yield Column(f"reference_{name}", "", header, "quality", given, texts(given))
    header = ("difference", at, "points" if share else "")
    signed = tuple(numbers.signed(e.value, share) if e else MISSING for e in apart)
    yield Column(f"difference_{name}", "", header, "quality", apart, signed)
