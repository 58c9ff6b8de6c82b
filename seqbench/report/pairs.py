"""Which cases are held against each other in the metric of their dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from seqbench import comparing
from seqbench.records import Comparison, TrialRecord

Case = Mapping[str, Any]

#: More cases of one dataset and device are not compared: the number of pairs grows with their
#: square, and the correction for it leaves nothing to be found.
MOST_CASES = 60


def families(cases: Sequence[Case]) -> list[list[Case]]:
    """The cases of each dataset (with its parameters) and device: only these are compared."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        what = [case["dataset"], case["dataset_params"], case["device"]]
        found.setdefault(json.dumps(what, sort_keys=True, default=str), []).append(case)
    return list(found.values())


def metric_comparisons(
    cases: Sequence[Case],
    trials: Sequence[TrialRecord],
    metrics: Sequence[Mapping[str, Any]] = (),
) -> list[Comparison]:
    """All pairs of cases of a family in its metric and in those of plugins, on the seeds that ended
    well for both.

    A case with a seed that did not end well is not compared: its others are the ones that survived.

    Args:
        cases: as the document has them.
        trials: those that have ended.
        metrics: those of plugins, as the plan has them.
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
        found += comparing.paired(figures, metric["name"], higher_is_better=higher)
        found += _score_comparisons(compared, ended, metrics)
    return found


def _score_comparisons(
    cases: Sequence[Case],
    ended: Mapping[str, Sequence[TrialRecord]],
    metrics: Sequence[Mapping[str, Any]],
) -> list[Comparison]:
    """Those in the metrics of plugins; a case that lacks one for a seed is not compared in it."""
    found: list[Comparison] = []
    for metric in metrics:
        figures: dict[str, dict[int, Any]] = {}
        for case in cases:
            trials = ended[case["id"]]
            scores = [trial.scores.get(metric["id"], {}).get("value") for trial in trials]
            if None not in scores:
                seeds = [trial.seed for trial in trials]
                figures[case["id"]] = dict(zip(seeds, scores, strict=True))
        higher = metric["higher_is_better"]
        found += comparing.paired(figures, metric["label"], higher_is_better=higher)
    return found
