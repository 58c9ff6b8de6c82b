"""Export as Bencher Metric Format (BMF) JSON."""

from __future__ import annotations

import json

from seqbench.report.interchange.figures import Figure, figures_of
from seqbench.report.interchange.source import Exported, Source, require

#: Bencher counts latency in nanoseconds; the other units are the SI ones.
SCALE = {"s": 1e9}


def export(source: Source) -> Exported:
    """``{benchmark: {measure: {value, lower_value, upper_value}}}``: every figure, with its
    interval if it has one. Seconds are given in nanoseconds.

    Raises:
        StoreError: the run has no figures.
    """
    figures, notes = figures_of(source)
    require(figures, "figures", source)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for figure in figures:
        found.setdefault(figure.benchmark, {})[figure.measure] = _metric(figure)
    return Exported(json.dumps(found, indent=1, allow_nan=False) + "\n", notes)


def _metric(figure: Figure) -> dict[str, float]:
    scale = SCALE.get(figure.unit, 1)
    bounds = {"value": figure.value, "lower_value": figure.low, "upper_value": figure.high}
    return {name: value * scale for name, value in bounds.items() if value is not None}
