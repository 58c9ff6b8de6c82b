"""Columns of speed: latency at each setting, steps, throughput, cold start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from seqbench.quantities import find
from seqbench.records import AS_DATA
from seqbench.report import numbers
from seqbench.report.columns.column import EXPORT_ONLY, Case, Column, Document
from seqbench.report.columns.shared import exact, interval, quantity, whole
from seqbench.report.numbers import Estimate, Unit
from seqbench.report.text import clean, counted, length_words

Entry = Mapping[str, Any]

Settings = Mapping[str, Any]

#: The settings of a latency, with the values assumed for runs that did not record them.
SETTINGS: Settings = {"runtime": "eager", "threads": 1, "length": None, "batch_size": 1}

#: Up to this many settings have a column each. With more, only the first two have, and all settings
#: are in a separate table (see :mod:`seqbench.report.terminal.settings_table`).
FEW = 6


def latency_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """Latency at each setting, then its exponents over the length."""
    found = latency_settings(cases)
    for number, at in enumerate(found):
        yield from _latency(cases, at, found, first=number == 0)
    yield from _exponents(cases, found)


def latency_settings(cases: Sequence[Case]) -> list[Settings]:
    """All settings that latency was measured at for any of the cases.

    Sorted by batch size; for each batch size the dataset's own length comes first.
    """
    found = [measurement_settings(entry) for case in cases for entry in case["latency"]]
    distinct = [at for number, at in enumerate(found) if at not in found[:number]]
    own = own_lengths(cases)
    return sorted(distinct, key=lambda at: (at["batch_size"], at["length"] not in own))


def own_lengths(cases: Sequence[Case]) -> set[int | None]:
    """The datasets' own lengths, and None, which stands for them in runs that did not record it."""
    return {None, *(case.get("length") for case in cases)}


def measurement_settings(entry: Entry) -> dict[str, Any]:
    """The settings of one latency."""
    return {name: entry.get(name, default) for name, default in SETTINGS.items()}


def latency_at(case: Case, at: Settings) -> Entry:
    """The latency of a case at these settings; empty if there is none."""
    return next((entry for entry in case["latency"] if measurement_settings(entry) == at), {})


def named_settings(cases: Sequence[Case], found: Sequence[Settings]) -> list[str]:
    """The settings to name beside the batch size: those that vary among ``found``, and the length
    if it is not the dataset's own.
    """
    own = own_lengths(cases)
    other_length = own != {None} and any(at["length"] not in own for at in found)
    return [
        name
        for name in SETTINGS
        if len({at[name] for at in found}) > 1 or (name == "length" and other_length)
    ]


def own_length_words(cases: Sequence[Case]) -> str:
    """``length 16``: the length of figures that are measured at the dataset's own, if latency was
    measured at others too; else "".
    """
    own = own_lengths(cases) - {None}
    several = "length" in named_settings(cases, latency_settings(cases))
    return f"length {own.pop()}" if several and len(own) == 1 else ""


def setting_words(at: Settings, named: Sequence[str]) -> str:
    """``batch 1``, plus the settings in ``named``: ``batch 1, length 32``."""
    words = {
        "batch_size": f"batch {at['batch_size']}",
        "length": length_words(at["length"]),
        "threads": counted(at["threads"], "thread"),
        "runtime": clean(at["runtime"]),
    }
    always = ("batch_size", "length") if at["length"] == AS_DATA else ("batch_size",)
    return ", ".join(words[name] for name in words if name in always or name in named)


def _field(prefix: str, at: Settings, named: Sequence[str]) -> str:
    return f"{prefix}_" + setting_words(at, named).replace(", ", "_").replace(" ", "_")


def _rank(at: Settings, found: Sequence[Settings]) -> int:
    """Always show the smallest and the largest batch; of many settings, only the first."""
    if len(found) > FEW and any(at[name] != found[0][name] for name in at if name != "batch_size"):
        return EXPORT_ONLY
    sizes = sorted({other["batch_size"] for other in found})
    return 0 if at["batch_size"] in (sizes[0], sizes[-1]) else 9


def _latency(
    cases: Sequence[Case], at: Settings, found: Sequence[Settings], *, first: bool
) -> Iterable[Column]:
    """Median, interval, tail and number of calls at one setting, all in the same unit."""
    entries = [latency_at(case, at) for case in cases]
    medians = [median_of(entry) for entry in entries]
    unit = numbers.common_unit([e.value for e in medians if e], numbers.TIME)
    named = named_settings(cases, found)
    field, words = _field("latency", at, named), setting_words(at, named)
    own = at["length"] in own_lengths(cases)
    published = first and (own or ("length" not in named and at["length"] != AS_DATA))
    given = [exact(case["reference"].get("latency_s")) if published else None for case in cases]
    tails = {p: [exact(entry.get(f"{p}_s")) for entry in entries] for p in ("p90", "p99")}
    calls = tuple(exact(entry.get("n")) for entry in entries)
    about = find("latency")
    times = partial(quantity, si=about.unit, group="speed", unit=unit)
    rivals = tuple(case["device"] for case in cases)
    rank = _rank(at, found)
    extra = rank + (1 if first else 4)
    column = times(
        field, ("latency", words), medians,
        better=about.better, has_interval=True, rank=rank, rivals=rivals,
    )  # fmt: skip
    importance = 0 if first else 2
    yield replace(column, at=at, compared=(about.name, recorded(at)), importance=importance)
    yield times(f"reference_{field}", ("reference", words), given, rank=rank)
    yield _bounds(medians, words, unit, extra)
    yield times(f"{field}_p90", ("p90", words), tails["p90"], rank=extra + 1)
    yield times(f"{field}_p99", ("p99", words), tails["p99"], rank=extra + 2)
    yield Column(
        field=f"{field}_calls", si="", header=("calls", words, ""), group="speed",
        estimates=calls, texts=whole(calls), rank=EXPORT_ONLY,
    )  # fmt: skip


def median_of(entry: Entry) -> Estimate | None:
    """The median of a timing with its interval."""
    return interval(entry, "median_s", "low_s", "high_s")


def recorded(at: Settings) -> dict[str, Any]:
    """The settings that the run recorded; pairwise comparisons are found by them."""
    return {name: value for name, value in at.items() if value is not None}


def _bounds(medians: Sequence[Estimate | None], at: str, unit: Unit, rank: int) -> Column:
    """The intervals of ``medians`` as a column; exports have them as separate fields."""
    known = tuple(e if e and e.half_width is not None else None for e in medians)
    texts = tuple(numbers.bounds(e, unit) for e in known)
    return Column(
        field="", si="", header=("interval", at, unit.name), group="speed",
        estimates=known, texts=texts, rank=rank,
    )  # fmt: skip


def _exponents(cases: Sequence[Case], found: Sequence[Settings]) -> Iterable[Column]:
    """The exponents of latency over the length."""
    several = [{**at, "length": None} for at in found]
    distinct = [at for number, at in enumerate(several) if at not in several[:number]]
    for at in distinct:
        fits = [_fit(case, at) for case in cases]
        estimates = tuple(interval(fit, "exponent") for fit in fits)
        named = named_settings(cases, distinct)
        words = setting_words(at, named)
        yield Column(
            field=_field("latency_exponent", at, named), si="",
            header=("exponent", f"latency, {words}", ""), group="speed", estimates=estimates,
            texts=tuple(numbers.figures_with_interval(estimates)), interval=True,
            rank=EXPORT_ONLY if len(found) > FEW else _rank(at, distinct), at=at,
        )  # fmt: skip


def _fit(case: Case, at: Settings) -> Entry:
    fits: list[Entry] = (case.get("exponents") or {}).get("latency") or []
    return next((fit for fit in fits if measurement_settings(fit) == at), {})


def throughput_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """Sequences per second, at the largest batch of each case; with lengths as in the data in a
    column of its own.
    """
    several = "length" in named_settings(cases, latency_settings(cases))
    found = sorted({_rate(entry) for case in cases for entry in case.get("throughput") or ()})
    largest = [rate for rate in found if rate[0] == found[-1][0]]
    for size, mixed in found:
        entries: list[Entry] = [
            next((e for e in case.get("throughput") or () if _rate(e) == (size, mixed)), {})
            for case in cases
        ]
        first = (size, mixed) == largest[0]
        column = quantity(
            f"throughput_batch_{size}{'_as_data' if mixed else ''}",
            ("throughput", _throughput_words(size, entries, several)),
            [interval(entry, "per_s", "low_per_s", "high_per_s") for entry in entries],
            si=find("throughput").unit, group="speed", has_interval=True,
            rank=0 if first else 1 if (size, mixed) in largest else 10,
        )  # fmt: skip
        yield replace(column, importance=1 if first else 2, more=True)


def _rate(entry: Entry) -> tuple[int, bool]:
    """The batch size of a throughput, and whether lengths were as in the data."""
    return entry["batch_size"], entry.get("length") == AS_DATA


def _throughput_words(size: int, entries: Sequence[Entry], several: bool) -> str:
    """``batch 64``; with the length if the run has several and all entries share one."""
    lengths = {entry["length"] for entry in entries if entry.get("length") is not None}
    if AS_DATA in lengths:
        return f"batch {size}, {length_words(AS_DATA)}"
    named = several and len(lengths) == 1
    return f"batch {size}, length {lengths.pop()}" if named else f"batch {size}"


def step_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """One step with carried state, and the size of the state."""
    about = find("step")
    steps: list[list[Entry]] = [case.get("step") or [{}] for case in cases]
    entries: list[Entry] = [found[0] for found in steps]
    sizes = {entry["batch_size"] for entry in entries if entry}
    at = f"batch {sizes.pop()}" if len(sizes) == 1 else ""
    column = quantity(
        "step", ("step", at), [median_of(entry) for entry in entries],
        si=about.unit, group="speed", better=about.better, has_interval=True, rank=1,
        rivals=tuple(case["device"] for case in cases),
    )  # fmt: skip
    yield replace(column, compared=(about.name, {}))
    states = [exact(entry.get("state_bytes")) for entry in entries]
    yield quantity(
        "state", ("state", "1 sequence"), states, si="B", group="speed",
        scale=numbers.SMALL_BYTES, rank=1,
    )  # fmt: skip


def cold_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """Cold start: building the model, loading its weights, the first call."""
    unit = find("cold").unit
    for name, words, rank in (
        ("first_call_s", "first call", 7),
        ("load_s", "load", EXPORT_ONLY),
        ("build_s", "build", EXPORT_ONLY),
    ):
        found = [exact((case.get("cold") or {}).get(name)) for case in cases]
        field = f"cold_{name.removesuffix('_s')}"
        yield quantity(field, ("cold", words), found, si=unit, group="speed", rank=rank)
