"""Starts the jobs that prepare datasets (``training/data.py`` writes them)."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from seqbench.executors.base import Job, Outcome
from seqbench.plan.cases import Case, Prepared
from seqbench.plugins.choice import Choice
from seqbench.runner.context import Progress, RunContext
from seqbench.training.data import is_prepared, prepared_file, read_prepared
from seqbench.training.job import PreparePayload

#: Time limit in seconds; preparing a dataset may include a download.
PREPARE_LIMIT = 3600.0


@dataclass(frozen=True)
class Datasets:
    """The prepared datasets, by the name of the prepared file.

    Args:
        problems: why datasets could not be prepared.
        prepared: what is known of the others.
    """

    problems: Mapping[str, str] = field(default_factory=dict)
    prepared: Mapping[str, Prepared] = field(default_factory=dict)

    @classmethod
    def of(cls, run: RunContext, problems: Mapping[str, str] = MappingProxyType({})) -> Datasets:
        """The datasets of a run's plan that are prepared by now."""
        datasets = {prepared_file(case.dataset): case.dataset for case in run.plan.cases}
        found = {file: read_prepared(one, run.workspace.cache) for file, one in datasets.items()}
        return cls(problems, {file: one for file, one in found.items() if one})

    def misfit(self, case: Case) -> str:
        """Why the case's model cannot be trained on its dataset, or ``""``."""
        return case.misfit(self.prepared.get(prepared_file(case.dataset)))

    def wrong_declaration(self, case: Case) -> str:
        """How the case's dataset differs from what it declares, or ``""``."""
        found = self.prepared.get(prepared_file(case.dataset))
        if not found or not case.declares or found.kind in case.declares:
            return ""
        declared = ", ".join(case.declares)
        return (
            f"dataset {case.dataset.name!r}: it is {found.kind}, but its plugin declares {declared}"
        )

    def problem(self, dataset: Choice) -> str:
        """Why a dataset is unavailable; "" if it is available."""
        return self.problems.get(prepared_file(dataset), "")


def prepare_datasets(run: RunContext) -> Datasets:
    """Prepare every dataset of the plan that is not in the cache yet, if any model fits it."""
    return _prepare(run, [case for case in run.plan.cases if not case.misfit()])


def do_with_datasets(run: RunContext, phase: str, jobs: Sequence[Job]) -> Iterable[Outcome]:
    """Run jobs that read the dataset of their case, which is the job's ``group``. If it has
    disappeared from the cache since it was prepared, it is prepared again, and the jobs that missed
    it run again, once.
    """
    missed: list[Outcome] = []
    yield from run.do(phase, jobs, not_prepared=missed)
    if missed:
        prepare_again(run, {outcome.job.group for outcome in missed})
        again = {outcome.job.id for outcome in missed}
        yield from run.do(phase, [job for job in jobs if job.id in again])


def prepare_again(run: RunContext, cases: Collection[str]) -> None:
    """Prepare the datasets of some cases again, if they have disappeared from the cache.

    Args:
        cases: ids of cases whose datasets have been available in this run.
    """
    found = [case for case in run.plan.cases if case.id in cases]
    lost = {c.dataset_label for c in found if not is_prepared(c.dataset, run.workspace.cache)}
    if lost:
        line = (
            f"{run.workspace.cache}: the prepared data of {', '.join(sorted(lost))} are missing or "
            "damaged; preparing them again"
        )
        run.folder.log(line)
        warnings.warn(line, stacklevel=2)
        quiet = replace(run, progress=Progress())  # another phase is being shown
        for reason in _prepare(quiet, found).problems.values():
            warnings.warn(f"cannot be prepared again: {reason}", stacklevel=2)


def _prepare(run: RunContext, cases: Iterable[Case]) -> Datasets:
    distinct = {prepared_file(case.dataset): case for case in cases}
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
    return Datasets.of(run, failed)


def _reason(outcome: Outcome, dataset: Choice) -> str:
    """Why a dataset could not be prepared, with its name."""
    if repr(dataset.name) in outcome.reason:
        return outcome.reason
    return f"dataset {dataset.name!r}: {outcome.reason}"
