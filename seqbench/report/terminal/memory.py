"""The breakdown of memory: ``seqbench show RUN --memory``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from seqbench.report import numbers
from seqbench.report.columns.column import Case, Document
from seqbench.report.names import case_name
from seqbench.report.numbers import NOT_AVAILABLE
from seqbench.report.terminal.style import empty_table
from seqbench.report.text import clean

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

    def cell(self, key: str) -> str:
        """The figure in MiB, or ``n/a``."""
        value = self.values.get(key)
        if value is None:
            return NOT_AVAILABLE
        return numbers.figure(value / 2**20, finest=0.01)

    def reason(self, key: str) -> str:
        """Why the figure is missing."""
        return self.missing.get(key, self.missing.get("", NOT_RECORDED))


def print_memory(document: Document, console: Console) -> None:
    """Print the breakdown for each mode, the system's readings, and the growth with length."""
    for part in memory_report(document):
        console.print(part)


def memory_report(document: Document) -> Iterator[RenderableType]:
    """The tables, one after the other; lines below them say why figures are unavailable."""
    rows = {mode: _rows(document, mode) for mode in MODES}
    if not any(row.values for found in rows.values() for row in found):
        reasons = {reason for found in rows.values() for row in found if (reason := row.reason(""))}
        yield Text(f"No memory figures in this run: {'; '.join(sorted(reasons))}.")
        return
    for mode in MODES:
        title = f"memory in {mode}{_batch(document)}, MiB"
        yield from _table(title, rows[mode], BREAKDOWN[mode])
    read = [
        Row(f"{row.name}, {mode}", row.values, row.missing, row.counted)
        for mode in MODES
        for row in rows[mode]
    ]
    extra = DEVICE_READINGS if any(row.counted for row in read) else {}
    yield from _table("as reported by the system, MiB", read, READINGS, extra)
    yield Text(EXPLANATION + (DEVICE_EXPLANATION if extra else ""), "dim")
    yield from _growth(document)


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
    return Row(case_name(case, document), values, missing, case["device"] in _counting(document))


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


def _table(
    title: str,
    rows: Sequence[Row],
    columns: Mapping[str, str],
    extra: Mapping[str, str] | None = None,
) -> Iterator[RenderableType]:
    """A table, and why figures are missing. ``extra``: columns that only some devices have."""
    extra = extra or {}
    names = {**columns, **extra}
    cells = {key: numbers.aligned([_cell(row, key, extra) for row in rows]) for key in names}
    table = _empty_table(names.values())
    for number, row in enumerate(rows):
        table.add_row(row.name, *(cells[key][number] for key in names))
    yield Group(Text(title, "bold"), Text(), table, *_reasons(rows, columns, extra), Text())


def _cell(row: Row, key: str, extra: Mapping[str, str]) -> str:
    return "" if key in extra and not row.counted else row.cell(key)


def _reasons(
    rows: Sequence[Row], columns: Mapping[str, str], extra: Mapping[str, str]
) -> list[Text]:
    """Why figures are missing; those with the same reason share a line."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for row in rows:
        for key, header in {**columns, **(extra if row.counted else {})}.items():
            if row.values.get(key) is None:
                names, headers = found.setdefault(row.reason(key), ({}, {}))
                names[row.name], headers[header] = None, None
    return [
        Text(f"{NOT_AVAILABLE}: {', '.join(names)}: {', '.join(headers)}: {reason}")
        for reason, (names, headers) in found.items()
    ]


def _empty_table(headers: Iterable[str]) -> Table:
    table = empty_table()
    table.add_column(Text("case", "bold"), overflow="fold", vertical="top")
    for header in headers:
        table.add_column(Text(header, "bold"), justify="right", overflow="fold")
    return table


GROWTH = {"macs": "MACs", "memory_inference": "inference", "memory_training": "training"}


def _growth(document: Document) -> Iterator[RenderableType]:
    """For cases measured at several lengths: the figures at each length, and the exponents."""
    cases = [case for case in document["cases"] if len(case.get("lengths", ())) > 1]
    if not cases:
        return
    table = _empty_table(["steps", *GROWTH.values()])
    for case in cases:
        for number, entry in enumerate(case["lengths"]):
            name = case_name(case, document) if number == 0 else ""
            table.add_row(name, f"{entry['length']:,}", *_growth_cells(entry))
        powers = [case["exponents"].get(key) for key in GROWTH]
        table.add_row(
            "", "exponent", *("n/a" if p is None else f"{p:.2f}" for p in powers), style="bold"
        )
    title = "growth with length: MACs; working memory (peak - before), MiB"
    yield Group(Text(), Text(title, "bold"), Text(), table)
    yield Text(
        "exponent: 1 is linear in the length, 2 is quadratic; n/a if memory differs by more than a "
        "quarter between passes, or if a figure is missing.",
        "dim",
    )


def _growth_cells(entry: Mapping[str, Any]) -> Iterator[str]:
    macs = entry["macs"]
    yield NOT_AVAILABLE if macs is None else f"{macs:,}"
    for mode in MODES:
        size = entry[f"{mode}_working_bytes"]
        yield NOT_AVAILABLE if size is None else numbers.figure(size / 2**20, finest=0.01)
