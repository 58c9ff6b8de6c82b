"""Columns of prediction quality: metrics, steps to target, published figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from seqbench.quantities import QUANTITIES, RESAMPLED_TEST, Quantity, find, find_in
from seqbench.report import numbers
from seqbench.report.columns.column import EXPORT_ONLY, Case, Column, Document
from seqbench.report.columns.shared import exact, interval, quantity, whole
from seqbench.report.names import period_word, resample_count
from seqbench.report.numbers import INFINITE, MISSING, Estimate
from seqbench.report.text import clean, target_words


def metric_of(cases: Sequence[Case], document: Document) -> Quantity:
    """The primary metric of a table, known even if no trial succeeded."""
    for case in cases:
        if primary := case.get("primary_metric"):
            return find(primary["name"], {primary["name"]: primary})
        if case["metric"]:
            return find_in(case, case["metric"]["name"])
    ids = {case["id"] for case in cases}
    for trial in document["trials"]:
        if trial["case"] in ids and trial.get("metric"):
            return find(trial["metric"], {trial["metric"]: trial.get("metric_about") or {}})
    return find("metric")


def metric_unit(metric: Quantity) -> str:
    """The unit in which a metric is shown: ``%`` for a fraction, "" for a plain number."""
    return "%" if metric.share else "" if metric.unit == "1" else clean(metric.unit)


def reference_field(field: str) -> str:
    """The field of the published figures of the primary metric, or of that at the last epoch."""
    last = "_last" if field.endswith("_last") else ""
    name = field.removesuffix(last).removeprefix("score_").partition(" ")[0]
    return f"reference_{name}{last}"


def field_of(metric: Quantity) -> str:
    """The field of the column of a metric; those of plugins cannot be mistaken for others."""
    return metric.name if metric.name in QUANTITIES else f"score_{metric.name}"


def quality_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """The primary metric, the task's own, the suite's others, and the steps to the target."""
    yield from _metric(cases, metric_of(cases, document))
    yield from _own_metric(cases)
    yield from _scores(cases)
    yield from _target(cases, document.get("target"))


def _metric(cases: Sequence[Case], about: Quantity) -> Iterable[Column]:
    """The metric over the seeds, also at the last epoch, and the reference values."""
    measured = [interval(case["metric"], "mean") for case in cases]
    last = [interval((case["metric"] or {}).get("last"), "mean") for case in cases]
    differs = any(one and one != other for one, other in zip(last, measured, strict=True))
    decimals = numbers.percent_decimals([*measured, *last])

    def texts(estimates: Sequence[Estimate | None]) -> tuple[str, ...]:
        if about.share:
            return tuple(numbers.percentages(estimates, decimals))
        return tuple(numbers.figures_with_interval(estimates))

    header = _header(about)
    field = field_of(about)
    column = _over_seeds(cases, about, header, measured, texts=texts(measured), field=field)
    yield replace(column, importance=0)
    yield from _reference(cases, about, "", measured, texts=texts)
    at = f"last {period_word(cases)}"
    yield from _reference(cases, about, at, last, texts=texts)
    yield Column(
        field=f"{field}_last", si="", header=(header[0], at, header[2]),
        group="quality", estimates=tuple(last), texts=texts(last), interval=True,
        more=about.higher_is_better, rank=8 if differs else EXPORT_ONLY,
    )  # fmt: skip
    yield from _repeats(cases)


def _own_metric(cases: Sequence[Case]) -> Iterable[Column]:
    """The task's own metric, if another one is primary."""
    found = [case.get("own_metric") for case in cases]
    name = next((one["name"] for one in found if one), "")
    if not name:
        return
    about, measured = find(name), [interval(one, "mean") for one in found]
    header, texts = _header(about), _texts(measured, about)
    yield _over_seeds(cases, about, header, measured, texts=texts, field=name)
    yield from _reference(cases, about, "", measured, texts=lambda some: _texts(some, about))


def _header(metric: Quantity) -> tuple[str, str, str]:
    """The name of a metric, its parameters, and its unit."""
    head, _, params = clean(metric.name).partition(" ")
    return f"test {head}", params, _unit(metric)


def _texts(measured: Sequence[Estimate | None], metric: Quantity) -> tuple[str, ...]:
    if metric.share:
        return tuple(numbers.percentages(measured, numbers.percent_decimals(measured)))
    return tuple(numbers.figures_with_interval(measured))


def _repeats(cases: Sequence[Case]) -> Iterable[Column]:
    """The number of successful seeds; of pooled resamples also theirs."""
    seeds = [exact(case["seeds"].get("ok", 0)) for case in cases]
    counts = [resample_count(case) for case in cases]
    if not any(counts):
        yield Column(
            field="seeds_ok", si="", header=("seeds", "", ""), group="quality",
            estimates=tuple(seeds), texts=whole(seeds),
        )  # fmt: skip
        return
    good = [case["seeds"].get("ok", 0) for case in cases]
    texts = [
        f"{count} × {n // count}" if count and n % count == 0 else f"{n} trials"
        for n, count in zip(good, counts, strict=True)
    ]
    yield Column(
        field="seeds_ok", si="", header=("resamples", "× seeds", ""), group="quality",
        estimates=tuple(seeds), texts=tuple(texts),
    )  # fmt: skip
    resamples = [exact((case["metric"] or {}).get("n")) for case in cases]
    yield Column(
        field="resamples_ok", si="", header=("resamples", "", ""), group="quality",
        estimates=tuple(resamples), texts=whole(resamples), rank=EXPORT_ONLY,
    )  # fmt: skip


def _over_seeds(
    cases: Sequence[Case],
    about: Quantity,
    header: tuple[str, str, str],
    measured: Sequence[Estimate | None],
    *,
    texts: tuple[str, ...],
    field: str,
) -> Column:
    """A figure over the seeds, compared in pairs; a case with a failed seed is not compared."""
    rivals = tuple("all" if set(case["seeds"]) <= {"ok"} else "" for case in cases)
    return Column(
        field=field, si="", header=header, group="quality", estimates=tuple(measured), texts=texts,
        better=about.better, interval=True, rivals=rivals, compared=(about.name, {}),
        test=RESAMPLED_TEST if any(map(resample_count, cases)) else "",
    )  # fmt: skip


def _unit(about: Quantity) -> str:
    return f"{metric_unit(about)} (± 95 % CI)".lstrip()


def _scores(cases: Sequence[Case]) -> Iterable[Column]:
    """The metrics of plugins."""
    every = [case.get("scores") or {} for case in cases]
    for name in dict.fromkeys(name for scores in every for name in scores):
        about = find(name, next(scores for scores in every if name in scores))
        measured = [interval(scores.get(name), "mean") for scores in every]
        header, texts = _header(about), _texts(measured, about)
        yield _over_seeds(cases, about, header, measured, texts=texts, field=field_of(about))


def _target(cases: Sequence[Case], target: Mapping[str, Any] | None) -> Iterable[Column]:
    """The steps to the suite's target, and the time that they take on an otherwise idle machine."""
    if not target:
        return
    found = [case.get("target") or {"reason": "no seed has finished"} for case in cases]
    steps = [_or_infinite(one, "steps", one["reason"]) for one in found]
    texts = tuple(_steps_text(one, e) for one, e in zip(found, steps, strict=True))
    at = target_words(target)
    yield Column(
        field="steps_to_target", si="", header=("steps to target", at, ""), group="quality",
        estimates=tuple(steps), texts=texts, importance=1,
    )  # fmt: skip
    times = [_or_infinite(one, "seconds", one.get("seconds_reason", "-")) for one in found]
    finite = [e if e and math.isfinite(e.value) else None for e in times]
    column = quantity(
        "time_to_target", ("time to target", "steps × quiet step time"), finite,
        si="s", group="quality", rank=1,
    )  # fmt: skip
    texts = tuple(
        INFINITE if e and not f else text
        for e, f, text in zip(times, finite, column.texts, strict=True)
    )
    yield replace(column, estimates=tuple(times), texts=texts, importance=1)


def _or_infinite(found: Mapping[str, Any], name: str, reason: str) -> Estimate | None:
    """A figure of a target; without a figure, None if there is a ``reason``, else infinite."""
    value = found.get(name)
    if value is None:
        return None if reason else Estimate(math.inf)
    return Estimate(value)


def _steps_text(found: Mapping[str, Any], steps: Estimate | None) -> str:
    """``940``, or ``940 (2 of 3)`` if not all seeds reached the target."""
    if steps is None:
        return MISSING
    text = f"{steps.value:,.0f}" if math.isfinite(steps.value) else INFINITE
    missed = found["reached"] < found["of"]
    return f"{text} ({found['reached']} of {found['of']})" if missed else text


def _reference(
    cases: Sequence[Case],
    about: Quantity,
    at: str,
    measured: Sequence[Estimate | None],
    *,
    texts: Callable[[Sequence[Estimate | None]], tuple[str, ...]],
) -> Iterable[Column]:
    """The published figure, and the difference of the measured figure from it.

    Args:
        at: the epoch of the measurement, in words; ``""`` for the main figure.
    """
    known = about.name.partition(" ")[0]  # without its parameters
    name = f"{known}_last" if at else known
    given = tuple(exact(case["reference"].get(name)) for case in cases)
    apart = tuple(
        Estimate(m.value - g.value) if m and g else None
        for m, g in zip(measured, given, strict=True)
    )
    yield Column(
        field=f"reference_{name}", si="", header=("reference", at, metric_unit(about)),
        group="quality", estimates=given, texts=texts(given), importance=2 if at else 1,
    )  # fmt: skip
    signed = tuple(numbers.signed(e.value, about.share) if e else MISSING for e in apart)
    yield Column(
        field=f"difference_{name}", si="",
        header=("difference", at, "points" if about.share else metric_unit(about)),
        group="quality", estimates=apart, texts=signed, importance=2 if at else 1,
    )  # fmt: skip
