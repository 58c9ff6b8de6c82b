"""Pairwise comparison of cases that were timed interleaved, round by round."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from seqbench.measure.latency.figures import Samples, cell_settings
from seqbench.records import Comparison, Verdict
from seqbench.stats.holm import ALPHA, holm
from seqbench.stats.timing import paired_ratio


def compare_cases(timed: Mapping[str, Samples], rivals: Mapping[str, str]) -> list[Comparison]:
    """Compare every pair of cases at each setting that both have.

    Args:
        timed: samples by case id.
        rivals: a key by case id; only cases with equal keys are compared.
    """
    families: dict[Any, dict[str, int]] = {}
    for case, samples in timed.items():
        for cell in samples.open_cells():
            families.setdefault((rivals[case], samples.key(cell)), {})[case] = cell
    return [pair for cells in families.values() for pair in _family(cells, timed)]


def _family(cells: Mapping[str, int], timed: Mapping[str, Samples]) -> list[Comparison]:
    """Compare all pairs of cases that have one setting in common."""
    figures = {case: timed[case].round_figures(cell) for case, cell in cells.items()}
    medians = {case: timed[case].summary(cell)["median_s"] for case, cell in cells.items()}
    pairs = list(combinations(cells, 2))
    ratios = [paired_ratio(_paired(figures[a], figures[b])) for a, b in pairs]
    corrected = holm([ratio["p"] for ratio in ratios])
    return [
        _comparison(
            timed[a].cells[cells[a]], (a, b), ratio, corrected=p, of_medians=medians[a] / medians[b]
        )
        for (a, b), ratio, p in zip(pairs, ratios, corrected, strict=True)
    ]


def _comparison(
    cell: Mapping[str, Any],
    pair: tuple[str, str],
    ratio: Mapping[str, Any],
    *,
    corrected: float,
    of_medians: float,
) -> Comparison:
    """The comparison of a pair, with its verdict.

    There is no verdict if the ratio of the two medians, which tables show, has the opposite
    direction. On a noisy machine the paired rounds are more reliable, but not enough to decide
    alone.

    Args:
        ratio: see :func:`seqbench.stats.timing.paired_ratio`. corrected: its p, corrected.
    """
    settings = cell_settings(cell)
    quantity = settings.pop("quantity")
    verdict: Verdict = "no difference"
    if corrected < ALPHA and (ratio["ratio"] - 1) * (of_medians - 1) >= 0:
        verdict = "better" if ratio["ratio"] < 1 else "worse"
    return Comparison(
        quantity,
        *pair,
        scale="ratio",
        effect=ratio["ratio"],
        low=ratio["low"],
        high=ratio["high"],
        p=ratio["p"],
        p_corrected=corrected,
        df=ratio["n"] - 1,
        verdict=verdict,
        n=ratio["n"],
        settings=settings,
    )


#: The figure of each block, by process and round.
Figures = Mapping[int, Mapping[int, float]]


def _paired(a: Figures, b: Figures) -> list[list[tuple[float, float]]]:
    """For each process, the figures of ``a`` and ``b`` in each round that both have."""
    return [
        [
            (a[process][number], b[process][number])
            for number in sorted(a[process].keys() & b[process].keys())
        ]
        for process in sorted(a.keys() & b.keys())
    ]
