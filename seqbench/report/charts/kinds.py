"""Every kind of chart, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seqbench.report.charts.calls import drift, latency
from seqbench.report.charts.chart import Chart
from seqbench.report.charts.confusion import confusion
from seqbench.report.charts.curves import curves
from seqbench.report.charts.length import length
from seqbench.report.charts.memory import memory
from seqbench.report.charts.pairs import pair_of_rounds, pair_of_seeds, pairs
from seqbench.report.charts.pareto import pareto
from seqbench.report.charts.published import published
from seqbench.report.charts.seeds import accuracy
from seqbench.report.charts.source import Group

Draw = Callable[[Group], Chart]

#: The charts of a dataset, in the order of the page. ``seqbench plot`` draws each of them.
KINDS: Mapping[str, Draw] = {
    "pareto": pareto,
    "pairs": pairs,
    "pair-seeds": pair_of_seeds,
    "pair-rounds": pair_of_rounds,
    "accuracy": accuracy,
    "curves": curves,
    "length": length,
    "latency": latency,
    "drift": drift,
    "memory": memory,
    "confusion": confusion,
    "published": published,
}
