"""Which trials of an earlier attempt are kept, which run again, and why."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from seqbench.plan.cases import Trial
from seqbench.plan.expand import Plan
from seqbench.records import TrialRecord
from seqbench.runner.resume.moved import MOVED, OUTDATED, moved_trials, outdated_trials
from seqbench.store.files import sha256_of, stamp
from seqbench.store.json_files import DamagedRecord
from seqbench.store.run_folder import RunFolder


@dataclass(frozen=True)
class Decision:
    """Whether one planned trial runs.

    Args:
        record: the kept record of an earlier attempt; None if the trial is to run.
        why: a short reason.
        earlier: the record of an earlier attempt that failed and is retried.
        expected_sha256: SHA-256 of the weights that retraining will reproduce; "" if unknown.
        moved: the earlier id of the trial, if a package has moved or changed since; else "".
        outdated: the earlier id of the trial, if the protocol has changed since; else "".
    """

    trial: Trial
    record: TrialRecord | None
    why: str
    earlier: TrialRecord | None = None
    expected_sha256: str = ""
    moved: str = ""
    outdated: str = ""


def decide(plan: Plan, folder: RunFolder, *, retry_failed: bool) -> Iterator[Decision]:
    """A decision for each trial of ``plan``, in its order.

    The id of a trial is a hash of everything that defines it, so a record with the same id is what
    running the trial again would give. It is kept if it is readable and its weights match it, or
    were removed on purpose. The record of a failed trial is kept as well, unless ``retry_failed``.
    """
    known = {path.stem: path for path in folder.trial_files()}
    before = folder.plan_or_empty()
    planned = {trial["id"] for trial in before["trials"]}
    moved = {now: old for now, old in moved_trials(plan, before).items() if old in known}
    outdated = {now: old for now, old in outdated_trials(plan, before).items() if old in known}
    records = {t.id: folder.trial(known[t.id]) for t in plan.trials if t.id in known}
    digests = _digests(folder, records.values())
    for trial in plan.trials:
        if trial.id not in known:
            old = (moved.get(trial.id, ""), outdated.get(trial.id, ""))
            why = MOVED if old[0] else OUTDATED if old[1] else _why_new(trial, planned)
            yield Decision(trial, None, why, moved=old[0], outdated=old[1])
            continue
        record = records[trial.id]
        why = _why_again(record, digests.get(trial.id), retry_failed)
        source, version = trial.case.model.source, trial.case.model.version
        if record is not None and record.source not in ("", source):
            why = "its model's source was edited before it was trained"
        elif record is not None and record.version not in ("", version):
            why = f"its model was trained as version {record.version}"
        if record is not None and not why:
            hint = "" if record.status == "ok" else " (retry with --retry-failed)"
            hint = " (weights removed)" if folder.removed.is_gone(record.weights) else hint
            done = f"{record.status.replace('_', ' ')}{hint}"
            old = (moved.get(trial.id, ""), outdated.get(trial.id, ""))
            yield Decision(trial, record, done, moved=old[0], outdated=old[1])
        else:
            failed = record is not None and record.status not in ("ok", "skipped")
            sha256 = record.weights_sha256 if record is not None and record.source == source else ""
            yield Decision(trial, None, why, record if failed else None, sha256)


def _digests(folder: RunFolder, records: Iterable[TrialRecord | None]) -> dict[str, str | None]:
    """SHA-256 of the weights of each successful trial; None if they cannot be read.

    Taken from the record if the file is unchanged since or was removed on purpose; the others are
    computed in parallel, after all records are read, because reading records would hold the lock
    that the threads need.
    """
    good = [record for record in records if record is not None and record.status == "ok"]
    found = {record.id: _recorded_digest(record, folder) for record in good}
    rest = [record for record in good if found[record.id] is None]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        computed = pool.map(_digest_of, [folder.path / record.weights for record in rest])
        return {**found, **dict(zip((record.id for record in rest), computed, strict=True))}


def _recorded_digest(record: TrialRecord, folder: RunFolder) -> str | None:
    """The SHA-256 in the record, if the file is unchanged since or was removed; else None."""
    if not record.weights or folder.removed.is_gone(record.weights):
        return record.weights_sha256  # an estimator has no weights
    with contextlib.suppress(OSError):
        if stamp(folder.path / record.weights) == tuple(record.weights_stamp):
            return record.weights_sha256
    return None


def _digest_of(weights: Path) -> str | None:
    try:
        return sha256_of(weights)
    except OSError:
        return None


def _why_new(trial: Trial, planned: Iterable[str]) -> str:
    if trial.id in planned:
        return "not run"
    if any(other.startswith(f"{trial.case.id}-s") for other in planned):
        return "a new seed"
    return "new or changed"


def _why_again(record: TrialRecord | None, weights: str | None, retry_failed: bool) -> str:
    """Why a recorded trial is run again, or "".

    Args:
        weights: SHA-256 of its weights file; None if it cannot be read.
    """
    if record is None:
        return "its record is damaged"
    if record.status == "skipped":
        return "it was skipped"
    if record.status != "ok":
        return f"{record.status.replace('_', ' ')}: retried" if retry_failed else ""
    why = ""
    if weights is None:
        why = "its weights are missing"
    elif record.weights_sha256 and weights != record.weights_sha256:
        why = "its weights are damaged"
    if why:
        warnings.warn(f"{record.id}: {why}; it will run again", DamagedRecord, stacklevel=2)
    return why
