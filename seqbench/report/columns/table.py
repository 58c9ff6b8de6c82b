"""Result tables: the cases of one dataset with one primary metric, and their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqbench.plugins.loading import import_object
from seqbench.quantities import functions
from seqbench.report.columns.column import Builder, Case, Column, Document
from seqbench.report.columns.letters import grouping
from seqbench.report.columns.quality import field_of, metric_of
from seqbench.report.names import dataset_words
from seqbench.summary.tables import table_key


@dataclass(frozen=True)
class ResultTable:
    """The cases of one dataset with one primary metric; those of different tables are not compared.

    Args:
        dataset: as headings name it.
        about: all its parameters, after its name if ``dataset`` does not say that.
        metric: the primary metric. metric_field: the field of its column.
    """

    dataset: str
    about: str
    metric: str
    metric_field: str
    cases: tuple[Case, ...]
    columns: tuple[Column, ...]


def result_tables(document: Document) -> list[ResultTable]:
    """One table per dataset (with its parameters) and primary metric, in the order of the cases."""
    groups: dict[str, list[Case]] = {}
    for case in document["cases"]:
        groups.setdefault(table_key(case), []).append(case)
    home = {case["id"]: key for key, cases in groups.items() for case in cases}
    compared: dict[str, list[Mapping[str, Any]]] = {key: [] for key in groups}
    for each in document.get("comparisons") or ():
        if each["a"] in home:
            compared[home[each["a"]]].append(each)
    return [_table(cases, document, compared[key]) for key, cases in groups.items()]


def _table(
    cases: Sequence[Case], document: Document, comparisons: Sequence[Mapping[str, Any]]
) -> ResultTable:
    """A table with the columns of each quantity; columns without any figure are omitted."""
    metric = metric_of(cases, document)
    field = field_of(metric)
    names = [*functions("columns"), *functions("growth")]
    builders: list[Builder] = [import_object(name) for name in names]
    filled = tuple(
        _lettered(column, cases, comparisons)
        for build in builders
        for column in build(cases, document)
        if column.field == field or any(column.estimates)
    )
    return ResultTable(*dataset_words(cases[0]), metric.name, field, tuple(cases), filled)


def _lettered(
    column: Column, cases: Sequence[Case], comparisons: Sequence[Mapping[str, Any]]
) -> Column:
    """Add letters to ``column`` if its cases were compared in pairs."""
    if column.compared is None:
        return column
    sign = -1 if column.better == "higher" else 1
    figures = {row: e.value for row, e in enumerate(column.estimates) if e}
    order = sorted(figures, key=lambda row: sign * figures[row])
    found = grouping(cases, comparisons, *column.compared, order)
    return replace(column, letters=found.letters, rivals=found.rivals) if found else column
