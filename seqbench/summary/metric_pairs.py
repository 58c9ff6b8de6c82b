"""Pairwise comparisons of cases in the metrics of their dataset."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any, Literal

from seqbench.quantities import Quantity, find
from seqbench.records import Comparison, TrialRecord, Verdict
from seqbench.stats.holm import ALPHA, MOST_CASES, holm_steps
from seqbench.stats.power import seeds_needed
from seqbench.stats.welch import LEAST_SEEDS, Difference, Sample, difference, samples_of

Case = Mapping[str, Any]

Figures = Mapping[str, Sequence[float]]

#: The logarithm of about the largest number.
LARGEST_LOG = 700.0

Scale = Literal["ratio", "difference"]


def families(cases: Sequence[Case]) -> list[list[Case]]:
    """Group cases by dataset (with its parameters) and device: only these are compared."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        what = [case.get("dataset_label"), case["dataset"], case["dataset_params"], case["device"]]
        found.setdefault(json.dumps(what, sort_keys=True, default=str), []).append(case)
    return list(found.values())


def metric_comparisons(
    cases: Sequence[Case],
    trials: Sequence[TrialRecord],
    metrics: Sequence[Mapping[str, Any]] = (),
) -> list[Comparison]:
    """Compare all pairs of cases in the metric of their dataset and in the metrics of plugins.

    A case with a failed seed is not compared, because its remaining seeds are a biased selection.

    Args:
        cases: as in the document.
        trials: the trials that have ended.
        metrics: the metrics of plugins, as in the plan.
    """
    ended: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        if trial.status == "ok":
            ended.setdefault(trial.case, []).append(trial)
    found: list[Comparison] = []
    for family in families(cases):
        compared = [case for case in family if case["metric"] and set(case["seeds"]) <= {"ok"}]
        if len(family) > MOST_CASES or not compared:
            continue
        figures = {
            case["id"]: [trial.metrics["value"] for trial in ended[case["id"]]] for case in compared
        }
        found += compare_over_seeds(figures, find(compared[0]["metric"]["name"]))
        found += _score_comparisons(compared, ended, metrics)
    return found


def _score_comparisons(
    cases: Sequence[Case],
    ended: Mapping[str, Sequence[TrialRecord]],
    metrics: Sequence[Mapping[str, Any]],
) -> list[Comparison]:
    """Compare in the metrics of plugins; a case that lacks one for a seed is not compared in it."""
    found: list[Comparison] = []
    for metric in metrics:
        figures: dict[str, Sequence[float]] = {}
        for case in cases:
            if metric["label"] not in case["scores"]:
                continue
            scores = [trial.scores.get(metric["id"]) for trial in ended[case["id"]]]
            values = [score["value"] for score in scores if score]
            if len(values) == len(scores) and None not in values:
                figures[case["id"]] = [value for value in values if value is not None]
        found += compare_over_seeds(figures, find(metric["label"], {metric["label"]: metric}))
    return found


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
    better = (found.effect > 0) == quantity.higher_is_better
    apart = fmean(pair.figures[a]) - fmean(pair.figures[b])
    verdict: Verdict = "no difference"
    needed = None
    if p_corrected >= ALPHA:
        needed = seeds_needed(pair.samples[a], pair.samples[b], ALPHA / factor)
    elif apart * found.effect >= 0:
        verdict = "better" if better else "worse"
    shown = _factor if scale == "ratio" else float
    low, high = found.interval
    above = found.above
    return Comparison(
        quantity.name,
        a,
        b,
        scale=scale,
        effect=shown(found.effect),
        low=shown(low),
        high=shown(high),
        p=found.p,
        p_corrected=p_corrected,
        df=found.df,
        verdict=verdict,
        n=min(pair.samples[a].n, pair.samples[b].n),
        beats=above if quantity.higher_is_better else 1 - above,
        needed=needed,
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
