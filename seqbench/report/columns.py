"""What a result table holds: each column once, with its unit, its figures and which are best."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from seqbench.report import numbers
from seqbench.report.column import EXPORT_ONLY, Better, Case, Column, Document, Group
from seqbench.report.groups import grouping
from seqbench.report.numbers import INFINITE, MISSING, Estimate, Scale, Unit
from seqbench.report.target import target_words

__all__ = ["EXPORT_ONLY", "Case", "Column", "Document", "ResultTable", "result_tables"]

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
    return [_table(cases, document) for cases in groups.values()]


def _table(cases: Sequence[Case], document: Document) -> ResultTable:
    metric, better = _metric(cases, document)
    columns = [
        *_quality(cases, metric, better),
        *_target(cases, document.get("target")),
        *_speed(cases),
        *_memory(cases),
        *_cost(cases),
    ]
    filled = tuple(
        _lettered(column, cases, document.get("comparisons") or ())
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
    measured = [_interval(case["metric"], "mean") for case in cases]
    last = [_interval((case["metric"] or {}).get("last"), "mean") for case in cases]
    decimals = numbers.percent_decimals([*measured, *last])

    def texts(estimates: Sequence[Estimate | None]) -> tuple[str, ...]:
        if share:
            return tuple(numbers.percentages(estimates, decimals))
        return tuple(numbers.figures_with_interval(estimates))

    unit = "% ± 95 %" if share else "± 95 %"
    header = f"test {metric}"
    yield Column(
        metric, "", (header, "", unit), "quality", tuple(measured), texts(measured), better, True,
        rivals=tuple("all" if set(case["seeds"]) <= {"ok"} else "" for case in cases),
        compared=(metric, {}),
    )  # fmt: skip
    for name, figures in ((metric, measured), (f"{metric}_last", last)):
        yield from _reference(cases, name, figures, texts)
    yield Column(
        f"{metric}_last", "", (header, "last epoch", unit), "quality", tuple(last), texts(last),
        interval=True, rank=8 if last != measured else EXPORT_ONLY,
    )  # fmt: skip
    seeds = [_exact(case["seeds"].get("ok", 0)) for case in cases]
    yield Column("seeds_ok", "", ("seeds", "", ""), "quality", tuple(seeds), _whole(seeds))


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
    column = _quantity(
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
    given = tuple(_exact(case["reference"].get(name)) for case in cases)
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


def _speed(cases: Sequence[Case]) -> Iterable[Column]:
    """Latency at each batch size, throughput, and what comes before the steady state."""
    sizes = _batch_sizes(cases, "latency")
    for size in sizes:
        main = size in (sizes[0], sizes[-1])
        yield from _latency(cases, size, first=size == sizes[0], rank=0 if main else 9)
    sizes = _batch_sizes(cases, "throughput")
    for size in sizes:
        found = [_exact(_at(case, "throughput", size).get("per_s")) for case in cases]
        header = ("throughput", f"batch {size}")
        yield _quantity(
            f"throughput_batch_{size}", header, found, si="per_s", group="speed",
            scale=numbers.RATE, rank=0 if size == sizes[-1] else 10,
        )  # fmt: skip
    for name, words, rank in (
        ("first_call_s", "first call", 7),
        ("load_s", "load", EXPORT_ONLY),
        ("build_s", "build", EXPORT_ONLY),
    ):
        found = [_exact((case.get("cold") or {}).get(name)) for case in cases]
        field = f"cold_{name.removesuffix('_s')}"
        yield _quantity(
            field, ("cold", words), found, si="s", group="speed", scale=numbers.TIME, rank=rank
        )


def _latency(cases: Sequence[Case], size: int, *, first: bool, rank: int) -> Iterable[Column]:
    """Median, its interval, tail and number of calls at one batch size, all in one unit."""
    entries = [_at(case, "latency", size) for case in cases]
    medians = [_interval(entry, "median_s", "low_s", "high_s") for entry in entries]
    unit = numbers.common_unit([e.value for e in medians if e], numbers.TIME)
    field, at = f"latency_batch_{size}", f"batch {size}"
    given = [_exact(case["reference"].get("latency_s")) if first else None for case in cases]
    tails = {p: [_exact(entry.get(f"{p}_s")) for entry in entries] for p in ("p90", "p99")}
    calls = tuple(_exact(entry.get("n")) for entry in entries)
    times = partial(_quantity, si="s", group="speed", scale=numbers.TIME, unit=unit)
    rivals = tuple(case["device"] for case in cases)
    extra = rank + (1 if first else 4)
    column = times(
        field, ("latency", at), medians, better="lower", interval=True, rank=rank, rivals=rivals
    )
    yield replace(column, compared=("latency", {"batch_size": size}))
    yield times(f"reference_{field}", ("reference", at), given, rank=rank)
    yield _bounds(medians, at, unit, extra)
    yield times(f"{field}_p90", ("p90", at), tails["p90"], rank=extra + 1)
    yield times(f"{field}_p99", ("p99", at), tails["p99"], rank=extra + 2)
    yield Column(
        f"{field}_calls", "", ("calls", at, ""), "speed", calls, _whole(calls), rank=EXPORT_ONLY
    )


def _bounds(medians: Sequence[Estimate | None], at: str, unit: Unit, rank: int) -> Column:
    """The intervals of ``medians``, spelt out; exports have them beside the medians."""
    known = tuple(e if e and e.half_width is not None else None for e in medians)
    texts = tuple(numbers.bounds(e, unit) for e in known)
    return Column("", "", ("interval", at, unit.name), "speed", known, texts, rank=rank)


def _memory(cases: Sequence[Case]) -> Iterable[Column]:
    """Peak memory, in the same unit for inference and training."""
    memories = [case["memory"] or {} for case in cases]
    found = {
        mode: [_exact(memory.get(f"{mode}_bytes")) for memory in memories]
        for mode in ("inference", "training")
    }
    unit = numbers.common_unit([e.value for es in found.values() for e in es if e], numbers.BYTES)
    spread = max((memory.get("spread_bytes", 0) for memory in memories), default=0)
    for mode, estimates in found.items():
        yield _quantity(
            f"memory_{mode}", ("memory", mode), estimates, si="bytes", group="memory",
            scale=numbers.BYTES, unit=unit, better="lower",
            resolution=max(MEMORY_RESOLUTION, spread), finest=0.1,
            rivals=tuple(
                "" if memory.get("lower_bound") else case["device"]
                for case, memory in zip(cases, memories, strict=True)
            ),
        )  # fmt: skip


def _cost(cases: Sequence[Case]) -> Iterable[Column]:
    """What a model costs by construction; neither way is better by itself."""
    counted = partial(_quantity, si="", group="cost", scale=numbers.COUNT)
    for field, header, found in (
        ("parameters", ("parameters", ""), [_exact(case["parameters"]) for case in cases]),
        (
            "reference_parameters",
            ("parameters", "reference"),
            [_exact(case["reference"].get("parameters")) for case in cases],
        ),
    ):
        if max((e.value for e in found if e), default=0) < 1e7:
            yield Column(field, "", (*header, ""), "cost", tuple(found), _whole(found))
        else:
            yield counted(field, header, found)
    macs = [_exact(case["macs"]) for case in cases]
    yield counted("macs", ("MACs", ""), macs)
    size = [_exact(case.get("serialized_bytes")) for case in cases]
    yield _quantity(
        "serialized", ("weights", "file"), size,
        si="bytes", group="cost", scale=numbers.BYTES, rank=EXPORT_ONLY,
    )  # fmt: skip


def _quantity(
    field: str,
    header: tuple[str, str],
    estimates: Sequence[Estimate | None],
    *,
    si: str,
    group: Group,
    scale: Scale,
    unit: Unit | None = None,
    better: Better | None = None,
    interval: bool = False,
    resolution: float = 0.0,
    rank: int = 0,
    finest: float = 0.0,
    rivals: tuple[str, ...] = (),
) -> Column:
    """A column in one unit of ``scale``: the one given, or else the one that suits it.

    ``finest`` is the least that a figure's last digit may stand for.
    """
    unit = unit or numbers.common_unit([e.value for e in estimates if e], scale)
    texts = tuple(
        numbers.figure(e.value / unit.factor, finest=finest) if e else MISSING for e in estimates
    )
    return Column(
        field, si, (*header, unit.name), group, tuple(estimates), texts,
        better, interval, rank, resolution, rivals,
    )  # fmt: skip


def _whole(estimates: Sequence[Estimate | None]) -> tuple[str, ...]:
    return tuple(f"{e.value:,.0f}" if e else MISSING for e in estimates)


def _exact(value: float | None) -> Estimate | None:
    """A figure without an interval; what is not finite is no figure."""
    return Estimate(value) if value is not None and math.isfinite(value) else None


def _interval(
    found: Mapping[str, Any] | None, name: str, low: str = "low", high: str = "high"
) -> Estimate | None:
    if not found or _exact(found.get(name)) is None:
        return None
    bounds = found.get(low), found.get(high)
    if any(bound is None or not math.isfinite(bound) for bound in bounds):
        return Estimate(found[name])
    return Estimate(found[name], *bounds)


def _batch_sizes(cases: Sequence[Case], quantity: str) -> list[int]:
    return sorted({entry["batch_size"] for case in cases for entry in case.get(quantity) or ()})


def _at(case: Case, quantity: str, size: int) -> Mapping[str, Any]:
    entries: list[Mapping[str, Any]] = case.get(quantity) or []
    return next((entry for entry in entries if entry["batch_size"] == size), {})
