"""Holds cases that took turns against each other, round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import Any

from seqbench.measure.latency.samples import Samples, cell_settings
from seqbench.records import Comparison, Verdict
from seqbench.stats.paired import ALPHA, holm
from seqbench.stats.timing import paired_ratio


def compare_cases(timed: Mapping[str, Samples], rivals: Mapping[str, str]) -> list[Comparison]:
    """Every pair of cases that took turns, at each setting that both have.

    Args:
        timed: the samples of each case, by its id.
        rivals: for each case what it must share with another to be compared with it.
    """
    families: dict[Any, dict[str, int]] = {}
    for case, samples in timed.items():
        for cell in samples.open_cells():
            families.setdefault((rivals[case], samples.key(cell)), {})[case] = cell
    return [found for cells in families.values() for found in _family(cells, timed)]


def _family(cells: Mapping[str, int], timed: Mapping[str, Samples]) -> list[Comparison]:
    """All pairs of the cases that have one setting in common."""
    rounds = {case: timed[case].rounds(cell) for case, cell in cells.items()}
    medians = {case: timed[case].summary(cell)["median_s"] for case, cell in cells.items()}
    pairs = list(combinations(cells, 2))
    found = [paired_ratio(_paired(rounds[a], rounds[b])) for a, b in pairs]
    corrected = holm([each["p"] for each in found])
    return [
        _comparison(timed[a].cells[cells[a]], a, b, each, p, medians[a] / medians[b])
        for (a, b), each, p in zip(pairs, found, corrected, strict=True)
    ]


def _comparison(
    cell: Mapping[str, Any],
    a: str,
    b: str,
    found: Mapping[str, Any],
    p: float,
    of_medians: float,
) -> Comparison:
    """A verdict is withheld where the ratio of the two medians, which the table shows, says the
    opposite: on a restless machine the pairs are the better witness, but none to decide alone.
    """
    settings = cell_settings(cell)
    quantity = settings.pop("quantity")
    verdict: Verdict = "no difference"
    if p <= ALPHA and (found["ratio"] - 1) * (of_medians - 1) >= 0:
        verdict = "better" if found["ratio"] < 1 else "worse"
    return Comparison(
        quantity, a, b, "ratio", found["ratio"], found["low"], found["high"], p, verdict,
        found["n"], settings,
    )  # fmt: skip


Rounds = Mapping[int, Mapping[int, Sequence[float]]]


def _paired(a: Rounds, b: Rounds) -> list[list[tuple[float, float]]]:
    """For each process the medians of the blocks of ``a`` and ``b`` in the same round."""
    return [
        [
            (median(a[process][number]), median(b[process][number]))
            for number in sorted(a[process].keys() & b[process].keys())
        ]
        for process in sorted(a.keys() & b.keys())
    ]
