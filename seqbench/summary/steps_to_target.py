"""How many steps each case took to the suite's target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from seqbench.quantities import find
from seqbench.records import TrialRecord

NO_VALIDATION = "there is no validation split, and the test split is never looked at for it"

NO_STEP_TIME = "the step time was not measured with nothing else running"


def towards(
    target: Mapping[str, Any], trials: Sequence[TrialRecord], step_s: float | None
) -> dict[str, Any]:
    """What a case needed to reach ``target`` on validation, looked at when each epoch ends.

    Args:
        target: ``metric`` and ``value``.
        trials: those of the case that have ended.
        step_s: time of one training step with nothing else running.

    Returns:
        ``seeds``: of each its steps, None where it missed; ``reached`` and ``of``: how many did;
        ``steps``: the median, misses counted as infinite; ``seconds``: steps × ``step_s``;
        ``reason``, ``seconds_reason``: why there are none. None stands for infinite where there
        is no reason.
    """
    reason = _unknown(target, trials)
    if reason:
        return {"seeds": [], "reached": 0, "of": 0, "steps": None, "step_s": step_s,
                "seconds": None, "reason": reason, "seconds_reason": reason}  # fmt: skip
    # Of a process that was killed nobody knows whether it would have reached it.
    known = [trial for trial in trials if trial.status in ("ok", "diverged", "timeout")]
    found = {trial.seed: _steps(target, trial) for trial in known}
    middle = median(math.inf if steps is None else steps for steps in found.values())
    steps = middle if math.isfinite(middle) else None
    return {
        "seeds": [{"seed": seed, "steps": steps} for seed, steps in found.items()],
        "reached": sum(steps is not None for steps in found.values()),
        "of": len(found),
        "steps": steps,
        "step_s": step_s,
        "seconds": None if steps is None or step_s is None else steps * step_s,
        "reason": "",
        "seconds_reason": NO_STEP_TIME if step_s is None else "",
    }


def _unknown(target: Mapping[str, Any], trials: Sequence[TrialRecord]) -> str:
    """Why nothing can be said, or ``""``."""
    good = [trial for trial in trials if trial.status == "ok"]
    if not good and not any(trial.status in ("diverged", "timeout") for trial in trials):
        return "no seed ended well"
    for trial in good:
        if trial.metric != target["metric"]:
            return f"the metric of this dataset is {trial.metric}"
        if any(entry.get("validation") is None for entry in trial.curve) or not trial.curve:
            return NO_VALIDATION
        if any("steps" not in entry for entry in trial.curve):
            return "the learning curves hold no steps"
    return ""


def _steps(target: Mapping[str, Any], trial: TrialRecord) -> int | None:
    """Steps at the first epoch whose validation figure meets the target; None for a miss."""
    sign = 1 if find(target["metric"]).higher_is_better else -1
    for entry in trial.curve if trial.status == "ok" else ():
        if sign * (entry["validation"] - target["value"]) >= 0:
            return int(entry["steps"])
    return None
