"""The metrics on each test set, or range of length, as tables of a view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seqbench.report import numbers
from seqbench.report.columns.column import Case, Document
from seqbench.report.columns.quality import metric_unit
from seqbench.report.columns.shared import interval
from seqbench.report.columns.table import ResultTable
from seqbench.report.names import resample_count
from seqbench.report.numbers import NOT_AVAILABLE, Estimate
from seqbench.report.parts import (
    Part,
    PartMetric,
    are_sets,
    lengths_of,
    metrics_on_parts,
    part_names,
    part_of,
    parts_of,
)
from seqbench.report.text import clean
from seqbench.report.views.figures_across import Across, Cell, case_names, identity, sheets_of
from seqbench.report.views.sheet import Sheet


def metric_sheets(table: ResultTable, document: Document, on: str) -> Iterator[Sheet]:
    """A table for each metric of a dataset, then one of the parts; none without parts.

    Args:
        on: `` on adding``, where the dataset has to be named.
    """
    parts = parts_of(table.cases)
    for metric in metrics_on_parts(table.cases, document) if parts else ():
        yield from sheets_of(_across(table, document, metric, parts, on=on))
    if parts:
        yield _parts(parts, on, pooled=any(map(resample_count, table.cases)))


def _across(
    table: ResultTable, document: Document, metric: PartMetric, parts: Sequence[Part], *, on: str
) -> Across:
    about, sets = metric.about, are_sets(parts)
    whole = [_whole(case, metric) for case in table.cases]
    each = [[_on_part(case, part, metric) for case in table.cases] for part in parts]
    estimates = [cell.estimate for cells in (whole, *each) for cell in cells]
    decimals = numbers.percent_decimals(estimates)

    def texts(column: Sequence[Estimate | None]) -> Sequence[str]:
        if about.share:
            return numbers.percentages(column, decimals)
        return numbers.figures_with_interval(column)

    return Across(
        title=f"test {clean(about.name)}{on} by {'test set' if sets else 'length'}",
        unit=f"{f', {metric_unit(about)}' if metric_unit(about) else ''} (± 95 % CI)",
        rows=case_names(table.cases, document),
        columns=[
            ("headline" if sets else "all", whole),
            *zip(part_names(parts), each, strict=True),
        ],
        texts=texts,
        seeds=_seeds(table.cases),
    )


def _seeds(cases: Sequence[Case]) -> list[str]:
    """How many seeds the figures are of; empty if every seed of every case succeeded."""
    if all(set(case["seeds"]) <= {"ok"} for case in cases):
        return []
    return [
        f"{case['seeds'].get('ok', 0)} of {sum(case['seeds'].values())}"
        + (" trials" if resample_count(case) else "")
        for case in cases
    ]


def _whole(case: Case, metric: PartMetric) -> Cell:
    estimate = interval(metric.whole(case), "mean")
    return Cell(estimate, "" if estimate else _why(case))


def _on_part(case: Case, part: Part, metric: PartMetric) -> Cell:
    own = part_of(case, part)
    found = metric.on(own) if own else None
    estimate = interval(found, "mean")
    reason = "" if estimate else clean(found["reason"]) if found else _why(case)
    record = {
        **identity(case),
        "quantity": metric.about.name,
        "test_set": part["name"],
        **{name: part[name] for name in ("shortest", "longest", "sequences", "headline")},
        **{name: found[name] if found else None for name in ("mean", "low", "high")},
        "n": found["n"] if found else 0,
        "seeds": sum(case["seeds"].values()),
        "missing": reason,
    }
    return Cell(estimate, reason, record)


def _why(case: Case) -> str:
    """Why a case has no figure where others have one."""
    if not sum(case["seeds"].values()):
        return "no trial has run yet"
    if not case["seeds"].get("ok"):
        return "no seed succeeded"
    return "not recorded for every successful seed"


def _parts(parts: Sequence[Part], on: str, *, pooled: bool) -> Sheet:
    """How many sequences each part has, of which lengths.

    Args:
        pooled: whether they are the sequences of all resamples of a dataset.
    """
    head = "sequences of all resamples" if pooled else "sequences"
    counts = [f"{part['sequences']:,}" for part in parts]
    if not are_sets(parts):
        return Sheet(
            title=f"sequences{on} by length",
            headers=("steps", head),
            texts=tuple(zip(part_names(parts), counts, strict=True)),
            records=(),
            sides="lr",
        )
    words = {True: "yes", False: "no", None: NOT_AVAILABLE}
    counted = [words[part["headline"]] for part in parts]
    lengths = [lengths_of(part) for part in parts]
    return Sheet(
        title=f"test sets{on}",
        headers=("test set", head, "steps", "headline"),
        texts=tuple(zip(part_names(parts), counts, lengths, counted, strict=True)),
        records=(),
        sides="lrrl",
    )
