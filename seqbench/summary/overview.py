"""A run at a glance: what `seqbench list` shows of it.

It reads the records of a run, but makes no comparisons, so that hundreds of runs can be listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from statistics import fmean
from typing import Any

from seqbench.quantities import find_metric
from seqbench.records import CaseRecord, TrialRecord
from seqbench.store.run_folder import RunFolder
from seqbench.store.stored_plan import StoredChoice, StoredMetric, StoredPlan
from seqbench.summary.rows import Row, means, row_id, rows_of

#: Statuses of trials and measurements that are not failures.
NOT_FAILED = ("ok", "skipped")


@dataclass(frozen=True)
class Leader:
    """The leading case of a run on its first dataset.

    Args:
        value: mean of the metric over the seeds.
        why: why it is unknown; "" if it is known.
        share: whether the metric is a fraction, shown in percent.
        unit: of the metric; "" for a plain number.
    """

    label: str = ""
    metric: str = ""
    value: float = 0.0
    why: str = ""
    share: bool = False
    unit: str = ""


@dataclass(frozen=True)
class Overview:
    """A run at a glance.

    Args:
        ended, planned: numbers of trials.
        failed: number of failed trials and measurements, metrics of plugins included.
        seconds: how long the run took so far; None if unknown.
    """

    ended: int
    planned: int
    failed: int
    devices: Sequence[str]
    seconds: float | None
    leader: Leader


def overview_of(folder: RunFolder, state: Mapping[str, Any]) -> Overview:
    """A run at a glance.

    Args:
        state: of the folder (:meth:`.RunFolder.state`).

    Raises:
        StoreError: its plan cannot be read.
    """
    plan = folder.plan()
    planned = {trial["id"] for trial in plan["trials"]}
    trials = [record for record in folder.trials() if record.id in planned]
    return Overview(
        ended=len(trials),
        planned=len(planned),
        failed=failures(trials, folder.cases()),
        devices=list(dict.fromkeys(case["device"] for case in plan["cases"])),
        seconds=_seconds(folder, state),
        leader=leader_of(plan, trials),
    )


def leader_of(plan: StoredPlan, trials: Iterable[TrialRecord]) -> Leader:
    """The case with the best mean of its metric on the first dataset of a plan. A case with a
    failed or missing trial cannot lead: the mean of the others would be biased.
    """
    home = {case["id"]: row_id(case) for case in plan["cases"]}
    planned = Counter(home[trial["case"]] for trial in plan["trials"])
    every = rows_of(plan, [record for record in trials if record.case in home])
    rows = [row for row in every if _dataset(row) == _dataset(every[0])]
    found = {row.id: row.trials for row in rows if row.trials}
    good = [
        row
        for row in rows  # in the order of the plan: the first of equals
        if row.trials and len(row.good) == len(row.trials) == planned[row.id]
    ]
    if not good:
        return Leader(why=_why_no_leader(found, [row.id for row in rows], planned))
    metric = find_metric(good[0].good[0])
    better = max if metric.higher_is_better else min
    best = better(good, key=_mean)
    unit = "" if metric.unit == "1" else metric.unit
    return Leader(best.first["label"], metric.name, _mean(best), share=metric.share, unit=unit)


def _mean(row: Row) -> float:
    values = {record.id: record.metrics["value"] for record in row.good}
    return fmean(values.values() if row.pooled is None else means(row.by_resample(values)))


def _dataset(row: Row) -> tuple[str, StoredChoice, StoredMetric | None]:
    """Tells entries of a suite's datasets apart, which may differ in their training alone."""
    dataset: StoredChoice = {**row.first["dataset"], "params": row.dataset_params}
    return row.dataset_label, dataset, row.first.get("primary_metric")


def _why_no_leader(
    found: Mapping[str, Sequence[TrialRecord]], cases: Iterable[str], planned: Mapping[str, int]
) -> str:
    """Why no case leads."""
    if not found:
        return "no trials yet"
    cases = list(cases)
    if all(any(one.status not in NOT_FAILED for one in found.get(case, ())) for case in cases):
        return "trials failed in every case"
    if all(len(found.get(case, ())) == planned[case] for case in cases):
        return "trials failed or were skipped in every case"
    return "not all seeds have ended"


def failures(trials: Iterable[TrialRecord], cases: Iterable[CaseRecord]) -> int:
    """The number of failed trials and measurements, metrics of plugins included."""
    trials = list(trials)
    statuses = [record.status for record in trials]
    statuses += [one.status for case in cases for one in case.measurements]
    statuses += [score["status"] for record in trials for score in record.scores.values()]
    return sum(status not in NOT_FAILED for status in statuses)


def _seconds(folder: RunFolder, state: Mapping[str, Any]) -> float | None:
    """Seconds used so far, also by a run that is running or was killed."""
    if state["status"] != "running":
        return folder.seconds() or None
    try:
        leg = datetime.now(timezone.utc) - datetime.fromisoformat(state["leg"])
    except (KeyError, ValueError, TypeError):
        return None
    return max(0.0, float(state.get("seconds", 0.0)) + leg.total_seconds())
