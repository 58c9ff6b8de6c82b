"""Export as a JSON file of pytest-benchmark."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from statistics import fmean, median, stdev
from typing import Any

from seqbench.errors import StoreError
from seqbench.report.columns.column import Document
from seqbench.report.interchange.source import (
    Exported,
    Source,
    Timing,
    dataset_of,
    parameters_of,
    require,
)
from seqbench.report.names import some
from seqbench.report.text import clean, label
from seqbench.store.json_files import Damaged
from seqbench.summary.calls import Calls

#: Fewer calls have no standard deviation, which the program needs.
LEAST_CALLS = 2

#: Figures of seqbench that are not those of pytest-benchmark, added for comparison.
OWN_FIGURES = ("median_s", "low_s", "high_s", "processes")


def export(source: Source) -> Exported:
    """One benchmark for each timing, with the time of every counted call as a round.

    Raises:
        StoreError: the run has no timings, or no samples of them.
    """
    timings = source.timings()
    require(timings, "timings", source)
    calls, problems = _calls_of(source)
    found, without = [], []
    for timing in timings:
        cell = calls.get(_key(timing.case["id"], timing.measurement))
        if cell is None or len(cell.seconds) < LEAST_CALLS:
            without.append(f"{timing.name} {timing.measurement.quantity}")
        else:
            found.append(_benchmark(timing, cell.seconds))
    if not found:
        what = _first(problems) or f"{some(without)}: too few calls"
        raise StoreError(
            f"pytest-benchmark needs the time of every call: {what}; --format pyperf does without"
        )
    notes = [*source.unfinished(), *source.untimed()]
    if without:
        what = f" ({_first(problems)})" if problems else ""
        notes.append(f"left out, without the time of every call: {some(without)}{what}")
    document = source.document
    content = {
        "machine_info": _machine_info(document),
        "commit_info": _commit_info(document),
        "benchmarks": found,
        "datetime": document["started"],
    }
    return Exported(json.dumps(content, indent=1, allow_nan=False) + "\n", notes)


def _calls_of(source: Source) -> tuple[dict[str, Calls], list[str]]:
    """The calls of every cell by :func:`_key`, and which files of samples cannot be used."""
    found: dict[str, Calls] = {}
    problems = []
    for id_ in dict.fromkeys(timing.case["id"] for timing in source.timings()):
        case = next(case for case in source.document["cases"] if case["id"] == id_)
        try:
            found |= {_key(id_, cell): cell for cell in source.calls(case)}
        except Damaged as error:
            problems.append(str(error))
    return found, problems


def _first(problems: Sequence[str]) -> str:
    """The first problem, and how many others there are."""
    more = f"; {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"{problems[0]}{more}" if problems else ""


def _key(case: str, timed: Any) -> str:
    """Identifies a cell by what :class:`Calls` and its measurement have in common."""
    return json.dumps([case, timed.quantity, dict(timed.settings)], sort_keys=True)


def _benchmark(timing: Timing, seconds: Sequence[float]) -> dict[str, Any]:
    case, quantity = timing.case, timing.measurement.quantity
    figures = {name: timing.measurement.values[name] for name in OWN_FIGURES}
    return {
        "group": f"{dataset_of(case)}/{clean(case['device'])} {quantity} {timing.at}",
        "name": f"{label(case)}[{quantity} {timing.at}]",
        "fullname": f"{timing.name}[{quantity} {timing.at}]",
        "params": {**parameters_of(case), "quantity": quantity, **timing.measurement.settings},
        "param": timing.at,
        "extra_info": {"case": case["id"], "seqbench": figures},
        "options": {},
        "stats": statistics_of(seconds),
    }


def statistics_of(seconds: Sequence[float]) -> dict[str, Any]:
    """The figures that pytest-benchmark has for a benchmark, from its rounds of one call each.

    Quartiles: of an even number of values, the medians of the halves; of an odd number,
    interpolated so that they are the averages of those of the halves with and without the middle
    (methods 2 and 3 of https://en.wikipedia.org/wiki/Quartile).

    Args:
        seconds: at least two.
    """
    data = sorted(seconds)
    q1, q3 = _lower_quartile(data), -_lower_quartile([-value for value in reversed(data)])
    mean, deviation, iqr = fmean(data), stdev(data), q3 - q1
    first, last = bisect_left(data, q1 - 1.5 * iqr), bisect_right(data, q3 + 1.5 * iqr)
    near = bisect_right(data, mean + deviation) - bisect_left(data, mean - deviation)
    beyond_deviation, beyond_fences = len(data) - near, len(data) - (last - first)
    return {
        "min": data[0],
        "max": data[-1],
        "mean": mean,
        "stddev": deviation,
        "rounds": len(data),
        "median": median(data),
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond_fences,
        "stddev_outliers": beyond_deviation,
        "outliers": f"{beyond_deviation};{beyond_fences}",
        "ld15iqr": data[first],
        "hd15iqr": data[last - 1],
        "ops": 1 / mean,
        "total": sum(data),
        "data": list(seconds),
        "iterations": 1,
    }


def _lower_quartile(data: Sequence[float]) -> float:
    """The lower quartile of sorted values, at least two."""
    half, odd = divmod(len(data), 2)
    without = median(data[:half])
    return (without + median(data[: half + 1])) / 2 if odd else without


def _machine_info(document: Document) -> dict[str, Any]:
    """What is known of the machine, by the names that pytest-benchmark uses, and versions."""
    environment = document["environment"]
    system, _, release = environment.get("system", "").partition(" ")
    cpu = {"brand_raw": environment.get("cpu"), "count": environment.get("cores")}
    info = {
        "machine": environment.get("machine"),
        "system": system or None,
        "release": release or None,
        "python_version": environment.get("python"),
        "cpu": {name: value for name, value in cpu.items() if value is not None} or None,
        **{name: environment.get(name) for name in ("seqbench", "torch", "numpy")},
    }
    return {name: value for name, value in info.items() if value is not None}


def _commit_info(document: Document) -> dict[str, Any]:
    """The commit of the folder that the run was started in; empty if it had none."""
    commit = document["environment"].get("git")
    if not commit:
        return {}
    dirty = {} if commit.endswith("?") else {"dirty": commit.endswith("+")}
    return {"id": commit.rstrip("+?"), **dirty}
