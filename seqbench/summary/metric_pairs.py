"""Pairwise comparisons of cases in the metrics of their dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from seqbench.records import Comparison, TrialRecord, Verdict
from seqbench.stats.intervals import mean_interval
from seqbench.stats.paired import ALPHA, holm, least_p, sign_flip
from seqbench.stats.power import seeds_needed

Case = Mapping[str, Any]

#: With more cases of one dataset and device, none are compared: the number of pairs grows
#: quadratically, and after the correction for it no difference would be found.
MOST_CASES = 60


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
        metric = compared[0]["metric"]
        figures = {
            case["id"]: {trial.seed: trial.metrics["value"] for trial in ended[case["id"]]}
            for case in compared
        }
        higher = metric["higher_is_better"]
        found += paired_comparisons(figures, metric["name"], higher_is_better=higher)
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
        figures: dict[str, dict[int, Any]] = {}
        for case in cases:
            trials = ended[case["id"]]
            found_for = [trial.scores.get(metric["id"]) for trial in trials]
            scores = [score["value"] if score else None for score in found_for]
            if None not in scores:
                seeds = [trial.seed for trial in trials]
                figures[case["id"]] = dict(zip(seeds, scores, strict=True))
        higher = metric["higher_is_better"]
        found += paired_comparisons(figures, metric["label"], higher_is_better=higher)
    return found


def paired_comparisons(
    figures: Mapping[str, Mapping[int, float]], quantity: str, *, higher_is_better: bool
) -> list[Comparison]:
    """Compare all pairs of cases, each on the seeds that both have.

    Args:
        figures: for each case its figure at each seed.
        quantity: the name of the quantity.

    Returns:
        Differences a - b with Student's 95 % interval of the paired differences; p of
        :func:`.sign_flip`, corrected for all these pairs (:func:`.holm`). ``too few seeds`` if not
        even differences that all have the same sign could be significant. Pairs without a common
        seed are omitted.
    """
    differences = {
        (a, b): [figures[a][seed] - figures[b][seed] for seed in common]
        for a, b in combinations(figures, 2)
        if (common := sorted(figures[a].keys() & figures[b].keys()))
    }
    found = list(differences.values())
    ps = holm([sign_flip(one) for one in found])
    best_case = holm([least_p(len(one)) for one in found])
    return [
        _comparison(
            quantity, a, b, ours,
            p=p, best_case=best, higher_is_better=higher_is_better, pairs=len(found),
        )
        for (a, b), ours, p, best in zip(differences, found, ps, best_case, strict=True)
    ]  # fmt: skip


def _comparison(
    quantity: str,
    a: str,
    b: str,
    differences: Sequence[float],
    *,
    p: float,
    best_case: float,
    higher_is_better: bool,
    pairs: int,
) -> Comparison:
    """The record of a pair. ``p`` and ``best_case``, the smallest possible p, are corrected."""
    interval = mean_interval(differences)
    verdict: Verdict = "no difference"
    needed = None
    if best_case > ALPHA:
        verdict, needed = "too few seeds", seeds_needed(differences, ALPHA / pairs)
    elif p <= ALPHA:
        verdict = "better" if (interval["mean"] > 0) == higher_is_better else "worse"
    return Comparison(
        quantity, a, b, scale="difference", effect=interval["mean"], low=interval["low"],
        high=interval["high"], p=p, verdict=verdict, n=interval["n"], needed=needed,
    )  # fmt: skip
