"""The breakdown of memory: ``seqbench show RUN --memory``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from seqbench.report import numbers
from seqbench.report.columns.column import Case, Document
from seqbench.report.names import case_name
from seqbench.report.numbers import NOT_AVAILABLE
from seqbench.report.text import clean, settings
from seqbench.report.views.sheet import Sheet, View

MODES = ("inference", "training")

NOT_RECORDED = "not recorded by the seqbench version that made this run"

#: The components of the peak and their total, with their headers.
BREAKDOWN: Mapping[str, Mapping[str, str]] = {
    "inference": {
        "parameters": "parameters", "buffers": "buffers", "activations": "activations",
        "total": "total",
    },
    "training": {
        "parameters": "parameters", "buffers": "buffers", "gradients": "gradients",
        "optimizer": "optimizer", "activations": "activations", "total": "total",
    },
}  # fmt: skip

#: Figures reported by the system, with their headers.
READINGS = {"baseline": "before", "peak": "peak", "working": "difference"}

#: Figures that only some devices report, with their headers.
DEVICE_READINGS = {"reserved": "peak reserved", "process": "process"}


@dataclass(frozen=True)
class Row:
    """One row of a table: its name, its bytes by key, and the reasons for missing figures.

    Args:
        counted: whether its device reports the figures of :data:`DEVICE_READINGS`.
    """

    name: str
    values: Mapping[str, Any]
    missing: Mapping[str, str]
    counted: bool
    _: KW_ONLY
    case: Case
    mode: str

    def cell(self, key: str) -> str:
        """The figure in MiB, or ``n/a``."""
        value = self.values.get(key)
        if value is None:
            return NOT_AVAILABLE
        return numbers.figure(value / 2**20, finest=0.01)

    def reason(self, key: str) -> str:
        """Why the figure is missing."""
        return self.missing.get(key, self.missing.get("", NOT_RECORDED))


def memory_view(document: Document) -> View:
    """The breakdown for each mode, the system's readings, and the growth with length."""
    rows = {mode: _rows(document, mode) for mode in MODES}
    if not any(row.values for found in rows.values() for row in found):
        reasons = {reason for found in rows.values() for row in found if (reason := row.reason(""))}
        none = f"No memory figures in this run: {'; '.join(sorted(reasons))}."
        return View("memory", document["run"], (), (none,))
    sheets = [
        _sheet(f"memory in {mode}{_batch(document)}", rows[mode], BREAKDOWN[mode]) for mode in MODES
    ]
    read = [replace(row, name=f"{row.name}, {row.mode}") for mode in MODES for row in rows[mode]]
    extra = DEVICE_READINGS if any(row.counted for row in read) else {}
    sheets.append(_sheet("as reported by the system", read, READINGS, extra))
    grown = _growth(document)
    notes = [EXPLANATION + (DEVICE_EXPLANATION if extra else ""), *([GROWING] if grown else [])]
    return View("memory", document["run"], (*sheets, *grown), tuple(notes))


EXPLANATION = (
    "activations: the rest of the total (tensors kept for the backward pass, temporaries, the "
    "output). before, peak: memory in use before the pass and at most during it, by the whole "
    "process on a CPU, by all tensors on CUDA."
)

DEVICE_EXPLANATION = (
    " peak reserved: what torch reserved from the driver. process: what the driver reports for the "
    "process, including CUDA's own context."
)


def _rows(document: Document, mode: str) -> list[Row]:
    return [_row(case, document, mode) for case in document["cases"]]


def _row(case: Case, document: Document, mode: str) -> Row:
    values = ((case["memory"] or {}).get("breakdown") or {}).get(mode) or {}
    missing = dict(values.get("missing") or {})
    if not values:
        missing[""] = _why(case, mode)
    name, counted = case_name(case, document), case["device"] in _counting(document)
    return Row(name, values, missing, counted, case=case, mode=mode)


def _counting(document: Document) -> set[str]:
    """The devices for which some case has one of :data:`DEVICE_READINGS`."""
    return {
        case["device"]
        for case in document["cases"]
        for memory in [case["memory"]]
        if memory
        for values in (memory.get("breakdown") or {}).values()
        if values and DEVICE_READINGS.keys() & values.keys()
    }


def _why(case: Case, mode: str) -> str:
    for one in case.get("unmeasured", ()):
        if one["quantity"] == "memory" and one.get("mode", mode) == mode:
            return clean(one["reason"])
    if not any(case["seeds"].values()):
        return "no trial has run yet"
    if not case["seeds"].get("ok"):
        return "no seed succeeded"
    return "not requested by the suite (measure.memory), or the run ended before measuring it"


def _batch(document: Document) -> str:
    sizes = {case["memory"]["batch_size"] for case in document["cases"] if case["memory"]}
    return f" at batch {', '.join(map(str, sorted(sizes)))}" if sizes else ""


def _sheet(
    title: str,
    rows: Sequence[Row],
    columns: Mapping[str, str],
    extra: Mapping[str, str] | None = None,
) -> Sheet:
    """A table, and why figures are missing. ``extra``: columns that only some devices have."""
    extra = extra or {}
    names = {**columns, **extra}
    return Sheet(
        title=title,
        headers=("case", *names.values()),
        texts=tuple((row.name, *(_cell(row, key, extra) for key in names)) for row in rows),
        records=tuple(_record(row, names, extra) for row in rows),
        sides="l" + "r" * len(names),
        unit=", MiB",
        decimal=True,
        notes=tuple(_reasons(rows, columns, extra)),
    )


def _record(row: Row, names: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, Any]:
    """The figures in bytes, and the reasons for missing ones."""
    case = row.case
    keys = [key for key in names if row.counted or key not in extra]
    missing = [f"{key}: {row.reason(key)}" for key in keys if row.values.get(key) is None]
    memory = case["memory"] or {}
    return {
        **_identity(case),
        "mode": row.mode,
        "batch_size": memory.get("batch_size"),
        **{f"{key}_bytes": row.values.get(key) for key in names},
        "missing": "; ".join(missing),
    }


def _identity(case: Case) -> dict[str, Any]:
    return {
        "case": case["id"],
        "label": case["label"],
        "dataset": case["dataset"],
        "dataset_params": settings(case["dataset_params"]),
        "device": case["device"],
    }


def _cell(row: Row, key: str, extra: Mapping[str, str]) -> str:
    return "" if key in extra and not row.counted else row.cell(key)


def _reasons(
    rows: Sequence[Row], columns: Mapping[str, str], extra: Mapping[str, str]
) -> list[str]:
    """Why figures are missing; those with the same reason share a line."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for row in rows:
        for key, header in {**columns, **(extra if row.counted else {})}.items():
            if row.values.get(key) is None:
                names, headers = found.setdefault(row.reason(key), ({}, {}))
                names[row.name], headers[header] = None, None
    return [
        f"{NOT_AVAILABLE}: {', '.join(names)}: {', '.join(headers)}: {reason}"
        for reason, (names, headers) in found.items()
    ]


GROWTH = {"macs": "MACs", "memory_inference": "inference", "memory_training": "training"}


GROWING = (
    "exponent: 1 is linear in the length, 2 is quadratic; n/a if memory differs by more than a "
    "quarter between passes, or if a figure is missing."
)


def _growth(document: Document) -> list[Sheet]:
    """For cases measured at several lengths: the figures at each length, and the exponents."""
    cases = [case for case in document["cases"] if len(case.get("lengths", ())) > 1]
    if not cases:
        return []
    texts: list[tuple[str, ...]] = []
    records: list[dict[str, Any]] = []
    for case in cases:
        for number, entry in enumerate(case["lengths"]):
            name = case_name(case, document) if number == 0 else ""
            texts.append((name, f"{entry['length']:,}", *_growth_cells(entry)))
            records.append({**_identity(case), "length": entry["length"], **_growth_figures(entry)})
        powers = {key: case["exponents"].get(key) for key in GROWTH}
        shown = ["n/a" if p is None else f"{p:.2f}" for p in powers.values()]
        texts.append(("", "exponent", *shown))
        powers = {f"{key}_exponent": power for key, power in powers.items()}
        records.append({**_identity(case), **powers})
    title, unit = "growth with length", ": MACs; working memory (peak - before), MiB"
    headers = ("case", "steps", *GROWTH.values())
    return [
        Sheet(
            title=title, headers=headers, texts=tuple(texts), records=tuple(records),
            sides="lrrrr", unit=unit,
        )
    ]  # fmt: skip


def _growth_figures(entry: Mapping[str, Any]) -> dict[str, Any]:
    working = {name: entry[name] for name in (f"{mode}_working_bytes" for mode in MODES)}
    return {"macs": entry["macs"], **working}


def _growth_cells(entry: Mapping[str, Any]) -> Iterator[str]:
    macs = entry["macs"]
    yield NOT_AVAILABLE if macs is None else f"{macs:,}"
    for mode in MODES:
        size = entry[f"{mode}_working_bytes"]
        yield NOT_AVAILABLE if size is None else numbers.figure(size / 2**20, finest=0.01)
