"""The plan of a run as it is stored: the type of ``plan.json``, and reading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typing_extensions import NotRequired

from seqbench.records import Keys, Number, Status, Target
from seqbench.store.json_files import Damaged
from seqbench.store.validation import read_valid


class StoredChoice(Keys):
    """A model or dataset with all its parameters, and the package that it came from."""

    name: str
    params: dict[str, Any]
    target: NotRequired[str]
    distribution: str
    version: str
    source: NotRequired[str]
    kind: NotRequired[str]


class StoredTraining(Keys):
    """Training settings; the other keys depend on the version of seqbench. An estimator has no
    batch size.
    """

    batch_size: NotRequired[int]


class StoredResample(Keys):
    """That a case is one of several resamples of a dataset, which share a row of the table."""

    parameter: str
    dataset_label: str
    generated: bool
    row: str


class StoredMetric(Keys):
    """One metric that a plugin provides."""

    id: str
    label: str
    higher_is_better: bool
    share: bool
    unit: NotRequired[str]


class StoredSize(Keys):
    """A width, and the quantity that was counted at it."""

    width: int
    value: int


class StoredFound(Keys):
    """What solving the width of a case found (:class:`seqbench.plan.matching.Found`)."""

    best: StoredSize | None
    below: StoredSize | None
    above: StoredSize | None
    status: Status
    reason: str
    remark: str


class StoredMatching(Keys):
    """The size that a case is to have; ``key`` is what its width depends on, as a fingerprint."""

    quantity: str
    wanted: int
    parameter: str
    found: StoredFound | None
    key: str


class StoredCase(Keys):
    """One case of the plan."""

    id: str
    label: str
    model: StoredChoice
    dataset: StoredChoice
    dataset_label: NotRequired[str]
    train: StoredTraining
    device: str
    note: NotRequired[str]
    reference: NotRequired[dict[str, Number | None]]
    metrics_left_out: NotRequired[list[str]]
    primary_metric: NotRequired[StoredMetric]
    resample: NotRequired[StoredResample]
    matching: NotRequired[StoredMatching]


class StoredTrial(Keys):
    """One trial of the plan."""

    id: str
    case: str
    seed: int


class StoredPlan(Keys):
    """The content of ``plan.json`` that is read again."""

    cases: list[StoredCase]
    trials: list[StoredTrial]
    metrics: NotRequired[list[StoredMetric]]
    notes: NotRequired[str]
    measure: NotRequired[dict[str, Any]]
    target: NotRequired[Target | None]
    margin: NotRequired[dict[str, dict[str, Number]]]
    selection: NotRequired[dict[str, Any]]
    moved: NotRequired[dict[str, str]]
    outdated: NotRequired[dict[str, str]]


def metrics_of(plan: StoredPlan, case: StoredCase) -> list[StoredMetric]:
    """The metrics to compute on a case: the suite's, and those of its dataset's own."""
    left_out = case.get("metrics_left_out", ())
    return [metric for metric in plan.get("metrics", ()) if metric["id"] not in left_out]


def read_plan(path: Path) -> StoredPlan:
    """Read a stored plan. Raises Damaged, or StoreError if it is unreadable."""
    plan: StoredPlan = read_valid(StoredPlan, path)
    known = {case["id"] for case in plan["cases"]}
    for number, trial in enumerate(plan["trials"]):
        if trial["case"] not in known:
            raise Damaged(f"{path}: trials[{number}].case: there is no case {trial['case']!r}")
    return plan


def empty_plan() -> StoredPlan:
    """A plan of nothing, in place of one that cannot be read."""
    return {"cases": [], "trials": []}
