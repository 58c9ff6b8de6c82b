"""Pairwise comparisons of cases in the metrics of their dataset."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import Any, Literal

from seqbench.quantities import Quantity, find, find_in
from seqbench.records import Comparison, Verdict
from seqbench.stats.holm import ALPHA, MOST_CASES, holm_steps
from seqbench.stats.power import resamples_needed, seeds_needed
from seqbench.stats.resamples import LEAST_RESAMPLES, paired_differences
from seqbench.stats.welch import LEAST_SEEDS, Difference, Sample, difference, samples_of
from seqbench.summary.rows import Resamples, Row, beside_of, own_name, scores_of
from seqbench.summary.tables import table_key

Case = Mapping[str, Any]

Figures = Mapping[str, Sequence[float]]

#: The logarithm of about the largest number.
LARGEST_LOG = 700.0

#: The verdicts without a test.
TOO_FEW: tuple[Verdict, ...] = ("too few seeds", "too few resamples")

Scale = Literal["ratio", "difference"]


def families(cases: Sequence[Case]) -> list[list[Case]]:
    """Group cases by table and device: only these are compared."""
    found: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        found.setdefault((table_key(case), case["device"]), []).append(case)
    return list(found.values())


def metric_comparisons(
    cases: Sequence[Case], rows: Sequence[Row], metrics: Sequence[Mapping[str, Any]] = ()
) -> list[Comparison]:
    """Compare all pairs of cases in their primary metric, in the other metrics of the suite, and in
    the task's own.

    A case with a failed seed is not compared, because its remaining seeds are a biased selection.

    Args:
        cases: as in the document.
        rows: the same cases with their trials.
        metrics: the metrics of plugins, as in the plan.
    """
    own = {row.id: row for row in rows}
    found: list[Comparison] = []
    for family in families(cases):
        compared = [case for case in family if case["metric"] and set(case["seeds"]) <= {"ok"}]
        if len(family) > MOST_CASES or not compared:
            continue
        some = [own[case["id"]] for case in compared]
        values = [{one.id: one.metrics["value"] for one in row.good} for row in some]
        found += _compared(some, values, find_in(compared[0], compared[0]["metric"]["name"]))
        for metric in metrics:
            # A case that lacks one for a seed is not compared in it.
            scores = [scores_of(row, metric["id"]) for row in some]
            found += _compared(some, scores, find(metric["label"], {metric["label"]: metric}))
        beside = [beside_of(row) for row in some]
        if any(beside):
            found += _compared(some, beside, find(own_name(some[0])))
    return found


def _compared(
    rows: Sequence[Row], values: Sequence[Mapping[str, float]], quantity: Quantity
) -> list[Comparison]:
    """Compare the rows of a family over their seeds, or over their resamples.

    Args:
        values: of each row those of its trials; empty if it is not compared.
    """
    known = [(row, some) for row, some in zip(rows, values, strict=True) if some]
    if rows[0].pooled is None:
        return compare_over_seeds({row.id: list(some.values()) for row, some in known}, quantity)
    overlaps = [row.overlap for row, _ in known]
    overlap = None if None in overlaps else max((o for o in overlaps if o is not None), default=0.0)
    figures = {row.id: row.by_resample(some) for row, some in known}
    return compare_over_resamples(figures, quantity, overlap)


def compare_over_seeds(figures: Figures, quantity: Quantity) -> list[Comparison]:
    """Compare all pairs of cases by :func:`seqbench.stats.welch.difference`.

    Errors, of which lower is better, are compared by their ratio: Welch's test of their logarithms.
    All else, and errors of which one is 0 or less, is compared by difference.

    Args:
        figures: of each case its figure at each seed.
        quantity: what the figures are.

    Returns:
        one comparison for each pair. ``too few seeds`` if one of the two has fewer than three. A
        pair is ``better`` or ``worse`` by its corrected p, unless the means, which tables show,
        have the opposite direction, which few figures of an error can.
    """
    scale = _scale(figures, quantity)
    taken = {
        case: [math.log(value) for value in values] if scale == "ratio" else list(values)
        for case, values in figures.items()
        if len(values) >= LEAST_SEEDS
    }
    samples = dict(zip(taken, samples_of(list(taken.values())), strict=True))
    tested = {
        (a, b): difference(samples[a], samples[b])
        for a, b in combinations(figures, 2)
        if a in samples and b in samples
    }
    corrected = dict(zip(tested, holm_steps([each.p for each in tested.values()]), strict=True))
    return [
        _tested(
            _Pair(a, b, figures, samples),
            tested[a, b],
            quantity,
            scale=scale,
            p_corrected=corrected[a, b][0],
            factor=corrected[a, b][1],
        )
        if (a, b) in tested
        else _untested(a, b, figures, quantity, scale)
        for a, b in combinations(figures, 2)
    ]


def compare_over_resamples(
    figures: Mapping[str, Resamples], quantity: Quantity, overlap: float | None
) -> list[Comparison]:
    """Compare all pairs of cases by the paired t test of :mod:`seqbench.stats.resamples`, on the
    scales of :func:`compare_over_seeds`.

    A pair is compared on the resamples that both have. If they are fewer than three, the verdict is
    ``too few resamples``.

    Args:
        figures: of each case and resample its figure at each seed.
        quantity: what the figures are.
        overlap: see :func:`.paired_differences`. If it is unknown, nothing is compared.
    """
    if overlap is None:
        return []
    flat = {
        case: [one for some in found.values() for one in some] for case, found in figures.items()
    }
    scale = _scale(flat, quantity)
    taken = math.log if scale == "ratio" else float
    differences: dict[tuple[str, str], list[float]] = {}
    for a, b in combinations(figures, 2):
        differences[a, b] = [
            fmean(map(taken, figures[a][resample])) - fmean(map(taken, figures[b][resample]))
            for resample in figures[a]
            if resample in figures[b]
        ]
    enough = {pair: some for pair, some in differences.items() if len(some) >= LEAST_RESAMPLES}
    tested = dict(zip(enough, paired_differences(list(enough.values()), overlap), strict=True))
    corrected = dict(zip(tested, holm_steps([each.p for each in tested.values()]), strict=True))
    found = []
    for (a, b), some in differences.items():
        if (a, b) not in tested:
            found.append(_too_few(a, b, some, quantity, scale))
            continue
        each, (p_corrected, factor) = tested[a, b], corrected[a, b]
        both = [one for one in figures[a] if one in figures[b]]
        apart = fmean(fmean(figures[a][one]) - fmean(figures[b][one]) for one in both)
        one = _decided(each, quantity, (a, b), apart=apart, scale=scale, p_corrected=p_corrected)
        needed = None
        if p_corrected >= ALPHA:
            needed = resamples_needed(each, len(some), overlap, ALPHA / factor)
        found.append(replace(one, n=len(some), needed=needed, over="resamples"))
    return found


def _scale(figures: Figures, quantity: Quantity) -> Scale:
    positive = all(value > 0 for values in figures.values() for value in values)
    is_error = not quantity.higher_is_better and not quantity.share
    return "ratio" if is_error and positive else "difference"


@dataclass(frozen=True)
class _Pair:
    """Two cases, and the figures and samples of all."""

    a: str
    b: str
    figures: Figures
    samples: Mapping[str, Sample]


def _tested(
    pair: _Pair,
    found: Difference,
    quantity: Quantity,
    *,
    scale: Scale,
    p_corrected: float,
    factor: int,
) -> Comparison:
    """The comparison of a pair. ``factor``: by what its p was multiplied to correct it."""
    a, b = pair.a, pair.b
    apart = fmean(pair.figures[a]) - fmean(pair.figures[b])
    needed = None
    if p_corrected >= ALPHA:
        needed = seeds_needed(pair.samples[a], pair.samples[b], ALPHA / factor)
    one = _decided(found, quantity, (a, b), apart=apart, scale=scale, p_corrected=p_corrected)
    return replace(one, n=min(pair.samples[a].n, pair.samples[b].n), needed=needed)


def _decided(
    found: Difference,
    quantity: Quantity,
    pair: tuple[str, str],
    *,
    apart: float,
    scale: Scale,
    p_corrected: float,
) -> Comparison:
    """The comparison of a pair, without the number of its figures.

    Args:
        apart: the difference of the means that tables show.
    """
    verdict: Verdict = "no difference"
    if p_corrected < ALPHA and apart * found.effect >= 0:
        better = (found.effect > 0) == quantity.higher_is_better
        verdict = "better" if better else "worse"
    shown = _factor if scale == "ratio" else float
    low, high = found.interval
    above = found.above
    return Comparison(
        quantity.name,
        *pair,
        scale=scale,
        effect=shown(found.effect),
        low=shown(low),
        high=shown(high),
        p=found.p,
        p_corrected=p_corrected,
        df=found.df,
        verdict=verdict,
        n=0,
        beats=above if quantity.higher_is_better else 1 - above,
    )


def _factor(log: float) -> float:
    """A ratio from its logarithm, at most the largest number."""
    return math.exp(max(-LARGEST_LOG, min(log, LARGEST_LOG)))


def _untested(
    a: str,
    b: str,
    figures: Figures,
    quantity: Quantity,
    scale: Scale,
) -> Comparison:
    """A pair of which one has fewer than three seeds."""
    if scale == "ratio":
        logs = [fmean(math.log(value) for value in figures[case]) for case in (a, b)]
        effect = _factor(logs[0] - logs[1])
    else:
        effect = fmean(figures[a]) - fmean(figures[b])
    return Comparison(
        quantity.name,
        a,
        b,
        scale=scale,
        effect=effect,
        low=None,
        high=None,
        p=None,
        verdict="too few seeds",
        n=min(len(figures[a]), len(figures[b])),
        needed=LEAST_SEEDS,
    )


def _too_few(
    a: str, b: str, differences: Sequence[float], quantity: Quantity, scale: Scale
) -> Comparison:
    """A pair that has fewer than three resamples in common."""
    middle = fmean(differences) if differences else 0.0
    return Comparison(
        quantity.name,
        a,
        b,
        scale=scale,
        effect=_factor(middle) if scale == "ratio" else middle,
        low=None,
        high=None,
        p=None,
        verdict="too few resamples",
        n=len(differences),
        needed=LEAST_RESAMPLES,
        over="resamples",
    )
