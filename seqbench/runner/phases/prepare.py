"""Starts the jobs that prepare datasets (``training/data.py`` writes them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seqbench.executors.base import Job, Outcome
from seqbench.plugins.choice import Choice
from seqbench.runner.context import RunContext
from seqbench.training.data import is_prepared, prepared_file
from seqbench.training.job import PreparePayload

#: Time limit in seconds; preparing a dataset may include a download.
PREPARE_LIMIT = 3600.0


@dataclass(frozen=True)
class Datasets:
    """Why datasets could not be prepared, by the name of the prepared file."""

    problems: Mapping[str, str] = field(default_factory=dict)

    def problem(self, dataset: Choice) -> str:
        """Why a dataset is unavailable; "" if it is available."""
        return self.problems.get(prepared_file(dataset), "")


def prepare_datasets(run: RunContext) -> Datasets:
    """Prepare every dataset of the plan that is not in the cache yet."""
    distinct = {prepared_file(case.dataset): case for case in run.plan.cases}
    jobs = [
        Job(
            file,
            case.dataset_label,
            "seqbench.training.job:prepare",
            PreparePayload(case.dataset),
            log=f"logs/prepare-{Path(file).stem}.log",
            limit=PREPARE_LIMIT,
            keep_directory=True,
        )
        for file, case in distinct.items()
        if not is_prepared(case.dataset, run.workspace.cache)
    ]
    failed = {
        outcome.job.id: _reason(outcome, distinct[outcome.job.id].dataset)
        for outcome in run.do("prepare", jobs)
        if outcome.status != "ok"
    }
    return Datasets(failed)


def _reason(outcome: Outcome, dataset: Choice) -> str:
    """Why a dataset could not be prepared, with its name."""
    if repr(dataset.name) in outcome.reason:
        return outcome.reason
    return f"dataset {dataset.name!r}: {outcome.reason}"
