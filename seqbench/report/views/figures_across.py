"""Tables of a view that have the cases down and the same figure across, at each length or part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqbench.report.columns.column import Case
from seqbench.report.names import several_devices
from seqbench.report.numbers import NOT_AVAILABLE, Estimate
from seqbench.report.text import clean, label, settings
from seqbench.report.views.sheet import Sheet

#: More columns are divided over several tables.
MOST_COLUMNS = 12

#: The figures of a column, in SI units, as text.
Texts = Callable[[Sequence[Estimate | None]], Sequence[str]]


@dataclass(frozen=True)
class Cell:
    """One figure of one case.

    Args:
        reason: why there is no figure.
        record: the same for programs; empty for a figure that is in no export of the view.
    """

    estimate: Estimate | None
    reason: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)


Column = tuple[str, Sequence[Cell]]


@dataclass(frozen=True, kw_only=True)
class Across:
    """A figure of all cases of a dataset, at several lengths or on several parts.

    Args:
        title, unit: as of a :class:`.Sheet`.
        rows: the names of the cases.
        columns: the header of each, and the cells of the cases.
        texts: formats a column.
        seeds: for each case ``2 of 3`` if only so many seeds succeeded, or of pooled resamples
            ``8 of 9 trials``; empty if all did.
    """

    title: str
    unit: str
    rows: Sequence[str]
    columns: Sequence[Column]
    texts: Texts
    seeds: Sequence[str] = ()


def sheets_of(across: Across) -> Iterator[Sheet]:
    """One table, or several if there are many columns."""
    number = math.ceil(len(across.columns) / MOST_COLUMNS)
    size = math.ceil(len(across.columns) / number)
    for part in range(number):
        own = across.columns[size * part : size * (part + 1)]
        count = f" ({part + 1} of {number})" if number > 1 else ""
        yield _sheet(across, own, f"{across.title}{count}")


def _sheet(across: Across, columns: Sequence[Column], title: str) -> Sheet:
    lead = [("case", across.rows), *([("seeds", across.seeds)] if across.seeds else [])]
    shown = [_texts(across, cells) for _, cells in columns]
    by_case = zip(*(cells for _, cells in columns), strict=True)
    return Sheet(
        title=title,
        unit=across.unit,
        headers=(*(head for head, _ in lead), *(head for head, _ in columns)),
        texts=tuple(zip(*(cells for _, cells in lead), *shown, strict=True)),
        records=tuple(cell.record for cells in by_case for cell in cells if cell.record),
        sides="l" * len(lead) + "r" * len(columns),
        decimal=True,
        lead=len(lead),
        notes=tuple(_reasons(across, columns)),
    )


def _texts(across: Across, cells: Sequence[Cell]) -> list[str]:
    texts = across.texts([cell.estimate for cell in cells])
    return [t if cell.estimate else NOT_AVAILABLE for cell, t in zip(cells, texts, strict=True)]


def _reasons(across: Across, columns: Sequence[Column]) -> Iterator[str]:
    """Why figures are missing; those with the same reason share a line."""
    found: dict[str, dict[str, list[str]]] = {}
    for head, cells in columns:
        for name, cell in zip(across.rows, cells, strict=True):
            if cell.estimate is None:
                found.setdefault(cell.reason, {}).setdefault(name, []).append(head)
    for reason, heads in found.items():
        names = [
            name if len(own) == len(columns) else f"{name} at {', '.join(own)}"
            for name, own in heads.items()
        ]
        yield f"{NOT_AVAILABLE}: {'; '.join(names)}: {reason}"


def case_names(cases: Sequence[Case], document: Any) -> list[str]:
    """The labels, with the devices if there are several."""
    several = several_devices(document)
    return [f"{label(c)} on {clean(c['device'])}" if several else label(c) for c in cases]


def identity(case: Case) -> dict[str, Any]:
    """What a record says of its case."""
    return {
        "case": case["id"],
        "label": case["label"],
        "dataset": case["dataset"],
        "dataset_params": settings(case["dataset_params"]),
        "device": case["device"],
    }
