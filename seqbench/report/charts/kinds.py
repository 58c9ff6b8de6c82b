"""Every kind of chart, by its name. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from seqbench.plugins.loading import import_object

if TYPE_CHECKING:
    from seqbench.report.charts.chart import Chart
    from seqbench.report.charts.source import Group

_HERE = "seqbench.report.charts"

#: The function that draws each kind for a dataset, in the order of the page. To add a kind: a file
#: with such a function, an entry here, and a line in the help of ``seqbench plot``.
KINDS: Mapping[str, str] = {
    "pareto": f"{_HERE}.pareto:pareto",
    "pairs": f"{_HERE}.pairs:pairs",
    "pair-seeds": f"{_HERE}.pairs:pair_of_seeds",
    "pair-rounds": f"{_HERE}.pairs:pair_of_rounds",
    "accuracy": f"{_HERE}.seeds:accuracy",
    "curves": f"{_HERE}.curves:curves",
    "length": f"{_HERE}.length:length",
    "latency": f"{_HERE}.calls:latency",
    "drift": f"{_HERE}.calls:drift",
    "memory": f"{_HERE}.memory:memory",
    "confusion": f"{_HERE}.confusion:confusion",
    "published": f"{_HERE}.published:published",
}


def draw(kind: str, group: Group) -> Chart:
    """A chart of the cases of a dataset."""
    chart: Chart = import_object(KINDS[kind])(group)
    return chart
