"""Results of earlier attempts at a run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.records import CaseRecord, TrialRecord
from seqbench.runner.resume.can_resume import check_resumable
from seqbench.runner.resume.decide_trials import Decision, decide
from seqbench.runner.resume.moved import moved_line, outdated_line
from seqbench.store.run_folder import RunFolder
from seqbench.suite.selection import Selection

if TYPE_CHECKING:
    from seqbench.plan.expand import Plan

#: What a run adds to its environment when it measures latency.
NOTED = ("doctor", "disturbed")


@dataclass(frozen=True)
class Resume:
    """The run to resume, and whether to retry failures."""

    folder: RunFolder
    retry_failed: bool = False


@dataclass(frozen=True)
class Resumed:
    """A resumed run: how many of its trials are kept, and the selection."""

    path: Path
    kept: int
    trials: int
    selection: Selection

    def __str__(self) -> str:
        changed = f" (with {self.selection})" if self.selection else ""
        return f"resuming {self.path}{changed}: {self.kept} of {self.trials} trials already done"


@dataclass(frozen=True)
class Earlier:
    """Results of earlier attempts at a run.

    Args:
        kept: records that are kept, by trial.
        replaced: records of trials that run again, by trial.
        cases: measurements, by case.
        seconds: total duration.
        noted: what they added to the environment.
        decisions: whether each trial runs, and why.
        moved: trials that run again, or already have, because a package has moved or changed: their
            earlier ids, by their new ids.
        outdated: the same of trials that run again because the protocol has changed.
    """

    kept: Mapping[str, TrialRecord] = field(default_factory=dict)
    replaced: Mapping[str, TrialRecord] = field(default_factory=dict)
    cases: Mapping[str, CaseRecord] = field(default_factory=dict)
    seconds: float = 0.0
    noted: Mapping[str, Any] = field(default_factory=dict)
    decisions: Sequence[Decision] = ()
    moved: Mapping[str, str] = field(default_factory=dict)
    outdated: Mapping[str, str] = field(default_factory=dict)


def read_earlier(
    resume: Resume, plan: Plan, selection: Selection, environment: Mapping[str, Any]
) -> Earlier:
    """Results of the run to resume, after checking that it can be resumed.

    Raises:
        UsageError: it cannot be resumed on this machine or with this selection.
    """
    folder = resume.folder
    check_resumable(folder, plan, selection, environment)
    decisions = list(decide(plan, folder, retry_failed=resume.retry_failed))
    again = [one for one in decisions if one.record is None]
    recorded = len(folder.trial_files())
    if moved := sum(bool(one.moved) for one in again):
        warnings.warn(moved_line(folder, moved, recorded), stacklevel=2)
    if outdated := sum(bool(one.outdated) for one in again):
        warnings.warn(outdated_line(folder, outdated, recorded), stacklevel=2)
    return Earlier(
        kept={one.trial.id: one.record for one in decisions if one.record is not None},
        replaced={one.trial.id: one.earlier for one in decisions if one.earlier is not None},
        cases={record.case: record for record in folder.cases()},
        seconds=folder.seconds(),
        noted={name: value for name, value in folder.environment().items() if name in NOTED},
        decisions=decisions,
        moved={one.trial.id: one.moved for one in decisions if one.moved},
        outdated={one.trial.id: one.outdated for one in decisions if one.outdated},
    )
