"""Speeds of cases in earlier runs on this machine."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from seqbench.errors import StoreError
from seqbench.plan.cases import Case
from seqbench.runner.forecast.speeds import CaseSpeed, speed_key
from seqbench.runner.forecast.work import LOAD_SECONDS
from seqbench.store.json_files import Damaged, read_json
from seqbench.store.run_folder import ENVIRONMENT_FILE, RunFolder
from seqbench.store.stored_plan import StoredCase, StoredPlan
from seqbench.store.validation import read_case, read_trial
from seqbench.types import ESTIMATOR

#: Only the latest runs are read.
MOST_RUNS = 20

#: Trials that are read for each case.
MOST_TRIALS = 3

#: What each kind of contest measures.
QUANTITIES_OF = {"latency": "latency", "training": "training_step"}

#: What must be the same for speeds to be comparable. Reading these needs no torch.
MACHINE = ("cpu", "cores")


def speeds_of_earlier_runs(
    cases: Iterable[Case],
    runs: Sequence[Path],
    environment: Mapping[str, Any],
    measure: Mapping[str, Any],
) -> dict[str, CaseSpeed]:
    """Speeds of those ``cases`` that were trained in one of ``runs`` on this machine, by case id.

    Runs and records that cannot be read are ignored.

    Args:
        runs: folders, latest first.
        environment: the description of this machine, or the part of it in :data:`MACHINE`.
        measure: what the plan measures, as in ``plan.json``.
    """
    wanted: dict[str, list[str]] = {}
    for one in cases:  # those that differ in their epochs only have the same speed
        wanted.setdefault(speed_key(one.to_dict()), []).append(one.id)
    found: dict[str, CaseSpeed] = {}
    for path in runs[:MOST_RUNS]:
        if len(found) == sum(map(len, wanted.values())):
            break
        known = _known(path)
        if known is None or not is_same_machine(known[1], environment):
            continue
        folder, before = known
        try:
            plan = folder.plan()
        except StoreError:
            continue
        for case in plan["cases"]:
            names = [name for name in wanted.get(speed_key(case), ()) if name not in found]
            if names and _is_same_device(case["device"], before, environment):
                speed = _speed(folder, plan, case, measure)
                found |= {} if speed is None else dict.fromkeys(names, speed)
    return found


def environment_of_earlier_run(
    runs: Sequence[Path], environment: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The description of this machine in the latest run here; None if there is none.

    Args:
        environment: the part of it in :data:`MACHINE`.
    """
    for path in runs[:MOST_RUNS]:
        known = _known(path)
        if known is None:
            continue
        before = known[1]
        if before.get("devices") and is_same_machine(before, environment):
            return before
    return None


def is_same_machine(known: Mapping[str, Any], environment: Mapping[str, Any]) -> bool:
    """Whether two descriptions agree in :data:`MACHINE`."""
    return all(known.get(name) == environment.get(name) for name in MACHINE)


def _is_same_device(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a device was the same hardware; True if that is not known yet."""
    known = now.get("devices", {}).get(name)
    return not known or before.get("devices", {}).get(name) == known


def _known(path: Path) -> tuple[RunFolder, Mapping[str, Any]] | None:
    """A run and its environment; None if they cannot be read."""
    try:
        return RunFolder.open(path), read_json(path / ENVIRONMENT_FILE)
    except StoreError:
        return None


def _speed(
    folder: RunFolder, plan: StoredPlan, case: StoredCase, measure: Mapping[str, Any]
) -> CaseSpeed | None:
    """The speed of a case in a run; None if none of its trials that are read succeeded."""
    trials = (trial["id"] for trial in plan["trials"] if trial["case"] == case["id"])
    outside, epochs, steps = list[float](), list[float](), list[float]()
    estimator = case["model"].get("kind") == ESTIMATOR
    for trial in itertools.islice(trials, MOST_TRIALS):
        try:
            record = read_trial(folder.path / f"trials/{trial}.json")
        except (Damaged, StoreError, OSError):
            continue
        if record.status == "ok" and record.seconds and (record.curve or estimator):
            spent = [epoch["seconds"] for epoch in record.curve]
            epochs.append(sum(spent) / len(spent) if spent else 0.0)
            outside.append(max(0.0, record.seconds - sum(spent)))
            steps.append(sum(spent) / count if (count := record.metrics.get("steps")) else 0.0)
    if not epochs:
        return None
    before = plan.get("measure", {})
    load, processes = _timing(folder, case["id"])
    if estimator:  # it is fitted again wherever it is loaded
        load = median(outside)
    alike = {
        kind: number
        for kind, number in processes.items()
        if _timed_by(kind, before) == _timed_by(kind, measure)
    }
    step = median(steps)
    return CaseSpeed(median(epochs), median(outside), load, alike, step)


def _timed_by(kind: str, measure: Mapping[str, Any]) -> Any:
    """The settings of a contest: with a target alone, training steps are timed as latency is."""
    return measure.get(kind) or measure.get("latency")


def _timing(folder: RunFolder, case: str) -> tuple[float, dict[str, int]]:
    """Seconds for loading a case, and the number of processes in which it was timed, by the kind of
    the contest, as far as it was.
    """
    try:
        measurements = read_case(folder.path / f"cases/{case}.json").measurements
    except (Damaged, StoreError, OSError):
        return LOAD_SECONDS, {}
    values = [(one.quantity, one.values) for one in measurements if one.status == "ok"]
    cold = [sum(found.values()) for quantity, found in values if quantity == "cold"]
    known = {
        kind: found["processes"]
        for kind, quantity in QUANTITIES_OF.items()
        for name, found in values
        if name == quantity and found.get("processes")
    }
    return LOAD_SECONDS + max(cold, default=0.0), known
