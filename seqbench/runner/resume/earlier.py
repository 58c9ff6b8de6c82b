"""What earlier attempts at a run have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.store.run_folder import RunFolder
from seqbench.suite.selection import Selection

if TYPE_CHECKING:
    from seqbench.plan.expand import Plan
    from seqbench.records import CaseRecord, TrialRecord
    from seqbench.runner.resume.trials import Decision


@dataclass(frozen=True)
class Again:
    """A run to go on with, and whether what did not end well is done again."""

    folder: RunFolder
    retry_failed: bool = False


@dataclass(frozen=True)
class Resumed:
    """That a run is gone on with: how many of its trials are kept, and what of the suite is changed
    for it.
    """

    path: Path
    kept: int
    trials: int
    selection: Selection

    def __str__(self) -> str:
        changed = f" (with {self.selection})" if self.selection else ""
        return f"going on with {self.path}{changed}: {self.kept} of {self.trials} trials kept"


@dataclass(frozen=True)
class Earlier:
    """What an earlier attempt at a run has left: records, seconds, what was ``noted`` of the
    machine. ``earlier`` are the records of trials that are made again.
    """

    trials: Mapping[str, TrialRecord] = field(default_factory=dict)
    earlier: Mapping[str, TrialRecord] = field(default_factory=dict)
    cases: Mapping[str, CaseRecord] = field(default_factory=dict)
    seconds: float = 0.0
    noted: Mapping[str, Any] = field(default_factory=dict)
    decisions: Sequence[Decision] = ()


def read_earlier(
    again: Again, plan: Plan, selection: Selection, environment: Mapping[str, Any]
) -> Earlier:
    from seqbench.runner.resume.check import check_again
    from seqbench.runner.resume.trials import decide

    folder = again.folder
    check_again(folder, plan, selection, environment)
    decisions = list(decide(plan, folder, retry_failed=again.retry_failed))
    return Earlier(
        {one.trial.id: one.record for one in decisions if one.record is not None},
        {one.trial.id: one.earlier for one in decisions if one.earlier is not None},
        {record.case: record for record in folder.cases()},
        folder.seconds(),
        {name: found for name, found in folder.environment().items() if name in KEPT},
        decisions,
    )


#: What a run notes beside its environment when it times.
KEPT = ("doctor", "disturbed")
