"""The rows of a run's tables: a case each, or the cases of all resamples of a dataset together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from seqbench.quantities import own_metrics
from seqbench.records import CaseRecord, TrialRecord
from seqbench.stats.intervals import mean_interval
from seqbench.stats.resamples import resampled_interval
from seqbench.store.stored_plan import StoredCase, StoredPlan, StoredResample

#: The figures of a row: of each resample, by its value, those of its seeds.
Resamples = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Row:
    """A row of the tables.

    Args:
        cases: one, or those of all resamples of a dataset, in the order of the plan.
        trials: of these cases, those that have ended, in the order of the plan.
    """

    cases: tuple[StoredCase, ...]
    trials: tuple[TrialRecord, ...]

    @property
    def first(self) -> StoredCase:
        """The first case; the others differ from it in a parameter of the dataset alone."""
        return self.cases[0]

    @property
    def pooled(self) -> StoredResample | None:
        """How its cases were pooled; None for a single case."""
        return self.first.get("resample")

    @property
    def id(self) -> str:
        return row_id(self.first)

    @property
    def dataset_label(self) -> str:
        """The label of the dataset in tables, without the parameter that tells resamples apart."""
        return dataset_label(self.first)

    @property
    def dataset_params(self) -> dict[str, Any]:
        """All parameters of the dataset; that of the resamples with a list of their values."""
        params = dict(self.first["dataset"]["params"])
        if self.pooled is not None:
            params[self.pooled["parameter"]] = self.values
        return params

    @property
    def values(self) -> list[Any]:
        """The values that tell the resamples apart; empty for a single case."""
        if self.pooled is None:
            return []
        return [case["dataset"]["params"].get(self.pooled["parameter"]) for case in self.cases]

    @property
    def good(self) -> list[TrialRecord]:
        """The successful trials."""
        return [trial for trial in self.trials if trial.status == "ok"]

    def value_of(self, trial: TrialRecord) -> Any:
        """The value that tells the resample of a trial apart."""
        ids = [case["id"] for case in self.cases]
        return self.values[ids.index(trial.case)]

    def words(self, trial: TrialRecord) -> str:
        """``seed 0``, or ``resample 2, seed 0``."""
        seed = f"seed {trial.seed}"
        return seed if self.pooled is None else f"resample {self.value_of(trial)}, {seed}"

    def by_resample(self, figures: Mapping[str, float]) -> dict[str, list[float]]:
        """Figures of trials, grouped by their resample.

        Args:
            figures: by the id of the trial.
        """
        found: dict[str, list[float]] = {}
        for trial in self.trials:
            if trial.id in figures:
                found.setdefault(json.dumps(self.value_of(trial)), []).append(figures[trial.id])
        return found

    def measured(self, records: Mapping[str, CaseRecord]) -> CaseRecord | None:
        """The measurements of the row: those of its first case that has some."""
        return next((records[case["id"]] for case in self.cases if case["id"] in records), None)

    @property
    def overlap(self) -> float | None:
        """Test sequences ÷ other sequences, by which the variance over resamples that split the
        same sequences is corrected; 0 if they are independent, None if the sizes are unknown.
        """
        if self.pooled is None or self.pooled["generated"]:
            return 0.0
        sizes = [trial.data for trial in self.good]
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes) or not known:
            return None
        return max(size["test"] / (size["train"] + size["validation"]) for size in known)

    @property
    def unlike(self) -> list[str]:
        """In what the data of its resamples differ although it can change latency or memory."""
        known = [trial.data for trial in self.good if trial.data is not None]
        shapes = ("length", "input_size", "output_size")
        return [name for name in shapes if len({size[name] for size in known}) > 1]  # type: ignore[literal-required]


def rows_of(plan: StoredPlan, trials: Iterable[TrialRecord] = ()) -> list[Row]:
    """The rows of a plan, in the order of their first cases.

    Args:
        trials: those of the plan that have ended, in its order.
    """
    cases: dict[str, list[StoredCase]] = {}
    for case in plan["cases"]:
        cases.setdefault(row_id(case), []).append(case)
    home = {case["id"]: row for row, some in cases.items() for case in some}
    own: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        own.setdefault(home[trial.case], []).append(trial)
    return [Row(tuple(some), tuple(own.get(row, ()))) for row, some in cases.items()]


def row_id(case: StoredCase) -> str:
    """The id of the row of a case: its own unless it is a resample."""
    resample = case.get("resample")
    return resample["row"] if resample else case["id"]


def dataset_label(case: StoredCase) -> str:
    """The label of a case's dataset in tables, which all resamples share."""
    resample = case.get("resample")
    label = resample["dataset_label"] if resample else case.get("dataset_label")
    return label or case["dataset"]["name"]


def scores_of(row: Row, metric: str) -> dict[str, float]:
    """The values of a plugin's metric by trial; empty if one of the successful trials lacks it."""
    found = {
        trial.id: score["value"]
        for trial in row.good
        for score in [trial.scores.get(metric)]
        if score is not None and score["status"] == "ok" and score["value"] is not None
    }
    return found if len(found) == len(row.good) else {}


#: The tasks' own metrics, which are recorded beside another primary metric.
OWN = tuple(dict.fromkeys(metric.name for metric in own_metrics().values()))


def own_name(row: Row) -> str:
    """The task's own metric, whichever is primary; "" if no trial succeeded."""
    beside = next((name for name in OWN for trial in row.good if name in trial.metrics), "")
    if beside or row.first.get("primary_metric"):
        return beside
    return next((trial.metric for trial in row.trials if trial.metric), "")


def beside_of(row: Row) -> dict[str, float]:
    """The task's own metric by trial, if another one is primary; else empty."""
    name = own_name(row)
    return {trial.id: trial.metrics[name] for trial in row.good if name in trial.metrics}  # type: ignore[literal-required]


def means(resamples: Resamples) -> list[float]:
    """Of each resample the mean over its seeds."""
    return [fmean(figures) for figures in resamples.values()]


def interval_of(row: Row, figures: Mapping[str, float]) -> dict[str, Any]:
    """Mean and interval of the figures of trials: over the seeds, or over the resamples.

    Args:
        figures: by the id of the trial.
    """
    if row.pooled is None:
        return mean_interval(list(figures.values()))
    return resampled_interval(means(row.by_resample(figures)), row.overlap)
