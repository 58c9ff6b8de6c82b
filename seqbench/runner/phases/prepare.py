"""Prepares the datasets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from seqbench.executors.base import Job
from seqbench.plugins.choice import Choice
from seqbench.runner.context import RunContext, dataset_key
from seqbench.training.data import cache_dir, is_prepared, prepared_path

#: Preparing a dataset may mean a download.
PREPARE_LIMIT = 3600.0


def prepare_datasets(work: RunContext) -> dict[str, Path | str]:
    """For each dataset (by its identity) the prepared file, or the reason why there is none."""
    found: dict[str, Path | str] = {}
    jobs = []
    labels = {dataset_key(case.dataset): case.dataset_label for case in work.plan.cases}
    for dataset in _distinct(case.dataset for case in work.plan.cases):
        if is_prepared(dataset, cache_dir()):
            found[dataset_key(dataset)] = prepared_path(dataset, cache_dir()).absolute()
            continue
        payload = {
            "dataset": dataclasses.asdict(dataset),
            "cache": str(cache_dir()),
            "data_dir": str(work.data_dir) if work.data_dir else None,
        }
        key = dataset_key(dataset)
        log = work.log(f"prepare-{Path(key).stem}")
        jobs.append(Job(key, labels[key], "prepare", payload, log, limit=PREPARE_LIMIT))
    for outcome in work.do("prepare", jobs):
        ok = outcome.status == "ok"
        found[outcome.job.id] = Path(outcome.result["path"]).absolute() if ok else outcome.reason
    return found


def _distinct(choices: Iterable[Choice]) -> list[Choice]:
    return list({dataset_key(choice): choice for choice in choices}.values())
