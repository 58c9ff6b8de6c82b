"""Finds a chart of a run by its kind and its dataset."""

from __future__ import annotations

from collections.abc import Sequence

from seqbench.errors import StoreError, UsageError
from seqbench.report.charts.chart import Chart
from seqbench.report.charts.kinds import KINDS, draw
from seqbench.report.charts.source import Group, groups, read_run
from seqbench.report.columns.column import Document
from seqbench.report.names import dataset_label
from seqbench.suggest import suggested


def find_chart(document: Document, kind: str, dataset: str | None) -> tuple[Chart, Group]:
    """A chart, and the group of cases that it shows.

    Raises:
        UsageError: an unknown kind or dataset, or several datasets of which none is named.
        StoreError: the run does not hold what the chart needs.
    """
    if kind not in KINDS:
        raise UsageError(suggested(f"unknown kind of chart {kind!r}", kind, KINDS))
    group = _group(groups(read_run(document)), dataset)
    chart = draw(kind, group)
    if chart.missing:
        raise StoreError(f"{kind}: nothing to draw: {chart.missing}")
    return chart, group


def _names(group: Group) -> list[str]:
    """How the dataset of a group can be called."""
    case = group.table.cases[0]
    return [group.title, group.table.dataset, dataset_label(case), str(case["dataset"])]


def _group(found: Sequence[Group], dataset: str | None) -> Group:
    """The group of the dataset: its name, or its name and parameters as in a heading."""
    if not found:
        raise StoreError("nothing to draw: this run has no cases")
    short = [group.dataset for group in found]
    unique = len(set(short)) == len(short)
    names = ", ".join(short) if unique else "; ".join(group.title for group in found)
    if dataset is None:
        if len(found) > 1:
            raise UsageError(f"this run has several datasets; choose one with --dataset: {names}")
        return found[0]
    matching = [group for group in found if dataset in _names(group)]
    if len(matching) != 1:
        what = "unknown dataset" if not matching else "more than one dataset is called"
        raise UsageError(f"{what} {dataset!r}; available: {names}")
    return matching[0]
