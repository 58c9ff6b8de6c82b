"""The figures of a run, one by one, for formats that track single figures over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seqbench.quantities import Better, find, find_in
from seqbench.records import Measurement
from seqbench.report.columns.column import Case
from seqbench.report.interchange.source import Source, failed_trials, settings_words
from seqbench.report.names import some, status_lines, unit_of
from seqbench.report.parts import plain_names
from seqbench.report.text import clean

#: The names of sizes in the measurement ``cost``, with their units.
SIZES = {"parameters": ("parameters", "1"), "serialized_bytes": ("file-size", "B")}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of a case.

    Args:
        benchmark: the name of the case, and the settings it was measured at.
        measure: ``accuracy``, ``latency``, ``memory-inference``, …
        unit: SI: ``s``, ``1/s``, ``B``, ``1``; of a plugin's metric as it says.
        low, high: the 95 % interval; of memory, the range of the passes. None if unknown.
        better: which direction is better; None if neither is.
        share: whether it is a fraction.
        basis: what it was computed from, in a few words.
    """

    case: Case
    benchmark: str
    measure: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    better: Better | None = None
    share: bool = False
    basis: str = ""


def figures_of(source: Source) -> tuple[list[Figure], list[str]]:
    """The figures of a run, and lines about what was left out: measurements that failed, the
    metrics of cases with failed trials, which are biased, and memory that is only known to be more
    than a figure. Cold start and steps to a target are no part of these formats.
    """
    found: list[Figure] = []
    failed, bounded, lacking = [], [], list[str]()
    for case in source.document["cases"]:
        name = source.names[case["id"]]
        if failed_trials(case):
            failed.append(f"{name} ({', '.join(status_lines(case))})")
        elif case["metric"] is not None:
            found += [*_quality(case, name), *_on_parts(case, name)]
            lacking += _without(case, name)
        for one in source.measurements(case):
            if one.values.get("lower_bound"):
                bounded.append(name)
            else:
                found += _measured(case, name, one)
    notes = source.unfinished()
    notes += _unmeasured(source)
    if failed:
        notes.append(f"left out, the metrics of cases with failed trials: {some(failed)}")
    if bounded:
        names = some(list(dict.fromkeys(bounded)))
        notes.append(f"left out, memory that is only a lower bound: {names}")
    if lacking:
        notes.append(f"left out, parts of the test split without a figure: {some(lacking, '; ')}")
    return found, notes


def _unmeasured(source: Source) -> list[str]:
    """A line that names the measurements that failed."""
    lines = [
        f"{source.names[case['id']]} {clean(one['quantity'])} ({clean(one['reason'])})"
        for case in source.document["cases"]
        for one in case["unmeasured"]
        if one["status"] != "skipped"
    ]
    return [f"left out, measurements that failed: {some(lines, '; ')}"] if lines else []


def _quality(case: Case, name: str) -> Iterator[Figure]:
    found = {case["metric"]["name"]: case["metric"]}
    if own := case.get("own_metric"):
        found[own["name"]] = own
    for metric, summary in {**found, **case["scores"]}.items():
        yield _figure(case, name, metric, summary)


def _figure(case: Case, benchmark: str, metric: str, summary: Mapping[str, Any]) -> Figure:
    about = find_in(case, metric)
    return Figure(
        case=case, benchmark=benchmark, measure=clean(metric, 64), unit=about.unit,
        value=summary["mean"], low=summary["low"], high=summary["high"],
        better=about.better, share=about.share, basis=f"mean, {unit_of(case)}s: {summary['n']}",
    )  # fmt: skip


def _on_parts(case: Case, name: str) -> Iterator[Figure]:
    """The metrics on each test set, or range of length."""
    for part, at in _named_parts(case):
        own = {case["metric"]["name"]: part}
        for metric, summary in {**own, **part["scores"]}.items():
            if summary["mean"] is not None:
                yield _figure(case, f"{name} {at}", metric, summary)


def _without(case: Case, name: str) -> list[str]:
    """The parts without a figure, and why."""
    why = case["resamples"]["parts_reason"] if "resamples" in case else ""
    lacking = [(f"{name} {at}", part["reason"]) for part, at in _named_parts(case)]
    return [f"{what} ({reason})" for what, reason in [(name, why), *lacking] if reason]


def _named_parts(case: Case) -> list[tuple[Mapping[str, Any], str]]:
    """Each part with its name: ``test_set=short``, or ``length=7-12``."""
    parts = case["parts"]
    names = zip(parts, plain_names(parts), strict=True)
    return [(p, f"test_set={name}" if p["name"] else f"length={name}") for p, name in names]


def _measured(case: Case, name: str, one: Measurement) -> Iterator[Figure]:
    about, values = find(one.quantity), one.values
    settings = {**one.settings, "batch_size": None} if "macs" in values else one.settings
    benchmark = " ".join(filter(None, (name, settings_words(settings))))

    def figure(measure: str, unit: str, key: str, *bounds: str, basis: str = "") -> Figure:
        low, high = (values[bound] for bound in bounds) if bounds else (None, None)
        return Figure(
            case=case, benchmark=benchmark, measure=measure, unit=unit, value=values[key],
            low=low, high=high, better=about.better, basis=basis,
        )  # fmt: skip

    measure = one.quantity.replace("_", "-")
    if about.compared == "rounds":
        basis = f"median, processes: {values['processes']}, calls: {values['n']}"
        yield figure(measure, "s", "median_s", "low_s", "high_s", basis=basis)
    elif "per_s" in values:
        basis = f"median, processes: {values['n']}"
        yield figure(measure, "1/s", "per_s", "low_per_s", "high_per_s", basis=basis)
    elif "total" in values:
        basis = f"median, passes: {len(values['peaks'])}"
        mode = clean(one.settings["mode"])
        yield figure(f"{measure}-{mode}", "B", "total", "low", "high", basis=basis)
    elif "macs" in values:
        yield figure(measure, "1", "macs", basis="of one sequence")
    elif "serialized_bytes" in values:
        for key, (size, unit) in SIZES.items():
            yield figure(size, unit, key)
