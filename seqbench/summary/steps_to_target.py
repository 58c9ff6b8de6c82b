"""Training steps that each case needed to reach the suite's target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from seqbench.quantities import find
from seqbench.records import TrialRecord
from seqbench.summary.rows import Row
from seqbench.types import ESTIMATOR

NO_VALIDATION = "there is no validation split, and the test split is not used for this"

NO_STEPS = "an estimator is not trained in steps"

NO_STEP_TIME = "no step time was measured with nothing else running"


def towards(
    target: Mapping[str, Any], row: Row, step_s: float | None, metric: str
) -> dict[str, Any]:
    """Steps and time that a case needed to reach ``target`` on validation, checked every epoch.

    Args:
        target: ``metric`` and ``value``.
        row: with the trials of the case that have ended.
        step_s: seconds per training step with nothing else running.
        metric: that of the dataset; empty if it is unknown, because no trial succeeded.

    Returns:
        ``seeds``: the steps of each, None for a miss; ``reached`` of ``of`` seeds reached it;
        ``steps``: the median, with misses as infinite; ``seconds``: steps × ``step_s``;
        ``reason``, ``seconds_reason``: why they are unavailable. ``steps`` of None without a reason
        means infinite.
    """
    trials = row.trials
    estimator = row.first["model"].get("kind") == ESTIMATOR
    reason = _unknown(target, trials, metric, estimator=estimator)
    if reason:
        return {"seeds": [], "reached": 0, "of": 0, "steps": None, "step_s": step_s,
                "seconds": None, "reason": reason, "seconds_reason": reason}  # fmt: skip
    # Whether a killed process would have reached the target is unknown.
    known = [trial for trial in trials if trial.status in ("ok", "diverged", "timeout")]
    found = [_steps(target, trial) for trial in known]
    middle = median(math.inf if steps is None else steps for steps in found)
    steps = middle if math.isfinite(middle) else None
    return {
        "seeds": [
            {**_seed(trial, row), "steps": steps} for trial, steps in zip(known, found, strict=True)
        ],
        "reached": sum(steps is not None for steps in found),
        "of": len(found),
        "steps": steps,
        "step_s": step_s,
        "seconds": None if steps is None or step_s is None else steps * step_s,
        "reason": "",
        "seconds_reason": NO_STEP_TIME if step_s is None else "",
    }


def _seed(trial: TrialRecord, row: Row) -> dict[str, Any]:
    resample = {} if row.pooled is None else {"resample": row.value_of(trial)}
    return {"seed": trial.seed, **resample}


def _unknown(
    target: Mapping[str, Any], trials: Sequence[TrialRecord], metric: str, *, estimator: bool
) -> str:
    """Why the figures are unavailable, or ``""``."""
    if estimator:
        return NO_STEPS
    good = [trial for trial in trials if trial.status == "ok"]
    if not good and not any(trial.status in ("diverged", "timeout") for trial in trials):
        return "no seed succeeded"
    if metric and target["metric"] not in (metric, metric.partition(" ")[0]):
        return f"the metric of this dataset is {metric}"
    for trial in good:
        if any(entry.get("validation") is None for entry in trial.curve) or not trial.curve:
            return NO_VALIDATION
        if any("steps" not in entry for entry in trial.curve):
            return "the learning curves do not record steps"
    return ""


def is_at_least(target: Mapping[str, Any]) -> bool:
    """Whether the metric must reach the bound from below."""
    sign = target.get("sign")
    return sign == ">=" if sign else find(target["metric"]).higher_is_better


def _steps(target: Mapping[str, Any], trial: TrialRecord) -> int | None:
    """Steps at the first epoch whose validation figure meets the target; None for a miss."""
    sign = 1 if is_at_least(target) else -1
    for entry in trial.curve if trial.status == "ok" else ():
        if sign * (entry["validation"] - target["value"]) >= 0:
            return int(entry["steps"])
    return None
