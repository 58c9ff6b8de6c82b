"""Export for github-action-benchmark, as its ``customSmallerIsBetter``."""

from __future__ import annotations

import json
from dataclasses import replace

from seqbench.report.interchange.figures import Figure, figures_of
from seqbench.report.interchange.source import Exported, Source, require
from seqbench.report.names import some

#: The unit shown for each SI unit, and the factor; other units, of plugins' metrics, are kept.
UNITS = {"s": ("ns", 1e9), "B": ("bytes", 1), "1": ("", 1)}


def export(source: Source) -> Exported:
    """``[{name, unit, value, range, extra}]``: the figures of which smaller ones are better.

    A fraction of which larger ones are better is given as the rest: an accuracy as ``error``,
    1 - accuracy. Other figures of which larger ones are better are left out.

    Raises:
        StoreError: the run has no such figures.
    """
    figures, notes = figures_of(source)
    smaller = [small for figure in figures if (small := _smaller(figure)) is not None]
    require(smaller, "figures of which smaller ones are better", source)
    larger = dict.fromkeys(f.measure for f in figures if f.better == "higher" and not f.share)
    if larger:
        notes.append(f"left out, since larger ones are better: {some(list(larger))}")
    neither = dict.fromkeys(figure.measure for figure in figures if figure.better is None)
    if neither:
        notes.append(f"left out, since neither direction is better: {some(list(neither))}")
    entries = [_entry(figure, source) for figure in smaller]
    text = json.dumps(entries, indent=1, allow_nan=False, ensure_ascii=False)
    return Exported(text + "\n", notes)


def _smaller(figure: Figure) -> Figure | None:
    if figure.better == "lower":
        return figure
    if figure.better == "higher" and figure.share:
        low, high = (None if bound is None else 1 - bound for bound in (figure.high, figure.low))
        name = "error" if figure.measure == "accuracy" else f"1 - {figure.measure}"
        return replace(figure, measure=name, value=1 - figure.value, low=low, high=high)
    return None


def _entry(figure: Figure, source: Source) -> dict[str, object]:
    unit, scale = UNITS.get(figure.unit, (figure.unit, 1))
    unit = unit or ("fraction" if figure.share else figure.measure)
    entry: dict[str, object] = {
        "name": f"{figure.benchmark} {figure.measure}",
        "unit": unit,
        "value": figure.value * scale,
    }
    if figure.low is not None and figure.high is not None:
        entry["range"] = f"{figure.low * scale:.6g} to {figure.high * scale:.6g}"
    environment = source.document["environment"]
    versions = [
        f"{name} {environment[name]}" for name in ("seqbench", "torch") if name in environment
    ]
    lines = [figure.basis, ", ".join(versions), environment.get("cpu", "")]
    return {**entry, "extra": "\n".join(filter(None, lines))}
