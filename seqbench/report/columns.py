"""What a result table holds: each column once, with its unit, its figures and which are best."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from seqbench.report import numbers
from seqbench.report.building import exact, interval, quantity, whole
from seqbench.report.column import EXPORT_ONLY, Better, Case, Column, Document, Group
from seqbench.report.groups import grouping
from seqbench.report.numbers import INFINITE, MISSING, Estimate
from seqbench.report.speed import speed_columns
from seqbench.report.target import target_words
from seqbench.report.text import clean

#: The kernel's accounting is no finer than about this: closer figures of memory are equal.
MEMORY_RESOLUTION = 2**20


@dataclass(frozen=True)
class ResultTable:
    """The cases of one dataset: figures of different datasets are never compared."""

    dataset: str
    params: Mapping[str, Any]
    metric: str
    cases: tuple[Case, ...]
    columns: tuple[Column, ...]


def result_tables(document: Document) -> list[ResultTable]:
    """One table for each dataset (with its parameters), in the order of the cases."""
    groups: dict[str, list[Case]] = {}
    for case in document["cases"]:
        key = json.dumps([case["dataset"], case["dataset_params"]], sort_keys=True, default=str)
        groups.setdefault(key, []).append(case)
    home = {case["id"]: key for key, cases in groups.items() for case in cases}
    compared: dict[str, list[Mapping[str, Any]]] = {key: [] for key in groups}
    for each in document.get("comparisons") or ():
        if each["a"] in home:
            compared[home[each["a"]]].append(each)
    return [_table(cases, document, compared[key]) for key, cases in groups.items()]


def _table(
    cases: Sequence[Case], document: Document, comparisons: Sequence[Mapping[str, Any]]
) -> ResultTable:
    metric, better = _metric(cases, document)
    columns = [
        *_quality(cases, metric, better),
        *_scores(cases),
        *_target(cases, document.get("target")),
        *speed_columns(cases),
        *_memory(cases),
        *_cost(cases),
        *_growth(cases),
    ]
    filled = tuple(
        _lettered(column, cases, comparisons)
        for column in columns
        if column.field == metric or any(column.estimates)
    )
    return ResultTable(
        cases[0]["dataset"], cases[0]["dataset_params"], metric, tuple(cases), filled
    )


def _lettered(
    column: Column, cases: Sequence[Case], comparisons: Sequence[Mapping[str, Any]]
) -> Column:
    """``column`` with letters, if its cases were compared in pairs."""
    if column.compared is None:
        return column
    sign = -1 if column.better == "higher" else 1
    figures = {row: e.value for row, e in enumerate(column.estimates) if e}
    order = sorted(figures, key=lambda row: sign * figures[row])
    found = grouping(cases, comparisons, *column.compared, order)
    return replace(column, letters=found.letters, rivals=found.rivals) if found else column


def _metric(cases: Sequence[Case], document: Document) -> tuple[str, Better]:
    """The metric of a dataset and its direction; also where no trial of it ended well."""
    for case in cases:
        if case["metric"]:
            higher = case["metric"]["higher_is_better"]
            return case["metric"]["name"], "higher" if higher else "lower"
    ids = {case["id"] for case in cases}
    named = [t["metric"] for t in document["trials"] if t["case"] in ids and t.get("metric")]
    return (named or ["metric"])[0], "lower" if "mse" in named else "higher"


def _quality(cases: Sequence[Case], metric: str, better: Better) -> Iterable[Column]:
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


def _scores(cases: Sequence[Case]) -> Iterable[Column]:
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


def _target(cases: Sequence[Case], target: Mapping[str, Any] | None) -> Iterable[Column]:
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


def _memory(cases: Sequence[Case]) -> Iterable[Column]:
    """Peak memory, in the same unit for inference and training."""
    memories = [case["memory"] or {} for case in cases]
    found = {
        mode: [exact(memory.get(f"{mode}_bytes")) for memory in memories]
        for mode in ("inference", "training")
    }
    unit = numbers.common_unit([e.value for es in found.values() for e in es if e], numbers.BYTES)
    spread = max((memory.get("spread_bytes", 0) for memory in memories), default=0)
    for mode, estimates in found.items():
        yield quantity(
            f"memory_{mode}", ("memory", mode), estimates, si="bytes", group="memory",
            scale=numbers.BYTES, unit=unit, better="lower",
            resolution=max(MEMORY_RESOLUTION, spread), finest=0.1,
            rivals=tuple(
                "" if memory.get("lower_bound") else case["device"]
                for case, memory in zip(cases, memories, strict=True)
            ),
        )  # fmt: skip


def _growth(cases: Sequence[Case]) -> Iterable[Column]:
    """What power of the length memory and multiply-accumulates grow with."""
    for name, words in (
        ("memory_inference", "memory"),
        ("memory_training", "training"),
        ("macs", "MACs"),
    ):
        found = [exact((case.get("exponents") or {}).get(name)) for case in cases]
        texts = tuple(f"{e.value:.2f}" if e else MISSING for e in found)
        group: Group = "cost" if name == "macs" else "memory"
        yield Column(f"{name}_exponent", "", ("exponent", words, ""), group, tuple(found), texts)


def _cost(cases: Sequence[Case]) -> Iterable[Column]:
    """What a model costs by construction; neither way is better by itself."""
    counted = partial(quantity, si="", group="cost", scale=numbers.COUNT)
    for field, header, found in (
        ("parameters", ("parameters", ""), [exact(case["parameters"]) for case in cases]),
        (
            "reference_parameters",
            ("parameters", "reference"),
            [exact(case["reference"].get("parameters")) for case in cases],
        ),
    ):
        if max((e.value for e in found if e), default=0) < 1e7:
            yield Column(field, "", (*header, ""), "cost", tuple(found), whole(found))
        else:
            yield counted(field, header, found)
    macs = [exact(case["macs"]) for case in cases]
    yield counted("macs", ("MACs", ""), macs)
    size = [exact(case.get("serialized_bytes")) for case in cases]
    yield quantity(
        "serialized", ("weights", "file"), size,
        si="bytes", group="cost", scale=numbers.BYTES, rank=EXPORT_ONLY,
    )  # fmt: skip
