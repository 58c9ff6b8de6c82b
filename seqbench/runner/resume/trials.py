"""Which trials of an earlier attempt are kept, which run again, and why."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from seqbench.plan.cases import Trial
from seqbench.plan.expand import Plan
from seqbench.records import TrialRecord
from seqbench.runner.resume.moved import MOVED, moved_trials
from seqbench.store.files import stamp
from seqbench.store.json_files import DamagedRecord
from seqbench.store.run_folder import RunFolder


@dataclass(frozen=True)
class Decision:
    """What becomes of one planned trial.

    Args:
        record: what an earlier attempt left and is kept; None where the trial is to be run.
        why: in a few words.
        earlier: the record of an earlier attempt that ended, but is to be made again.
        moved: the recorded trial that this one was, before a package moved or changed; "" for none.
        comes_out: digest of the weights that it had, and will have again; "" if that is not known.
    """

    trial: Trial
    record: TrialRecord | None
    why: str
    earlier: TrialRecord | None = None
    comes_out: str = ""
    moved: str = ""


def decide(plan: Plan, folder: RunFolder, *, retry_failed: bool) -> Iterator[Decision]:
    """A decision for each trial of ``plan``, in its order.

    The id of a trial is a hash of all that defines it: a record of that id is what the trial would
    be again. It is kept if it can be read and its weights are those that it names. One that did
    not end well is kept as well, unless ``retry_failed``.
    """
    known = {path.stem: path for path in folder.trial_files()}
    before = folder.plan_or({"cases": [], "trials": []})
    planned = {trial["id"] for trial in before["trials"]}
    moved = {now: old for now, old in moved_trials(plan, before).items() if old in known}
    records = {t.id: folder.trial(known[t.id]) for t in plan.trials if t.id in known}
    digests = _digests(folder.path, records.values())
    for trial in plan.trials:
        if trial.id not in known:
            old = moved.get(trial.id, "")
            yield Decision(trial, None, MOVED if old else _why_new(trial, planned), moved=old)
            continue
        record = records[trial.id]
        why = _why_again(record, digests.get(trial.id), retry_failed)
        source, version = trial.case.model.source, trial.case.model.version
        if record is not None and record.source not in ("", source):
            why = "its model's source was edited before it was trained"
        elif record is not None and record.version not in ("", version):
            why = f"its model was trained as version {record.version}"
        if record is not None and not why:
            hint = "" if record.status == "ok" else " (--retry-failed runs it again)"
            yield Decision(trial, record, f"{record.status.replace('_', ' ')}: kept{hint}")
        else:
            failed = record is not None and record.status not in ("ok", "skipped")
            sha256 = record.weights_sha256 if record is not None and record.source == source else ""
            yield Decision(trial, None, why, record if failed else None, sha256)


def _digests(folder: Path, records: Iterable[TrialRecord | None]) -> dict[str, str | None]:
    """Of the weights of each trial that ended well; None where they cannot be read.

    That of the record, where nobody has written the file since; the others are worked out side by
    side, once all records are read: threads that need Python's lock for every block would wait.
    """
    good = [record for record in records if record is not None and record.status == "ok"]
    found = {record.id: _digest_known(record, folder) for record in good}
    rest = [record for record in good if found[record.id] is None]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        worked_out = pool.map(_digest_of, [folder / record.weights for record in rest])
        return {**found, **dict(zip((record.id for record in rest), worked_out, strict=True))}


def _digest_known(record: TrialRecord, folder: Path) -> str | None:
    """That of the record, if the file is still the one that it was written for."""
    with contextlib.suppress(OSError):
        if stamp(folder / record.weights) == tuple(record.weights_stamp):
            return record.weights_sha256
    return None


def _digest_of(weights: Path) -> str | None:
    try:
        return digest(weights)
    except OSError:
        return None


def _why_new(trial: Trial, planned: Iterable[str]) -> str:
    if trial.id in planned:
        return "not run"
    if any(other.startswith(f"{trial.case.id}-s") for other in planned):
        return "a new seed"
    return "new, or what defines it has changed"


def _why_again(record: TrialRecord | None, weights: str | None, retry_failed: bool) -> str:
    """Why a recorded trial is run again, or ``""``.

    Args:
        weights: digest of what lies there as its weights.
    """
    if record is None:
        return "its record is damaged"
    if record.status == "skipped":
        return "it was skipped"
    if record.status != "ok":
        return f"{record.status.replace('_', ' ')}: retried" if retry_failed else ""
    why = ""
    if weights is None:
        why = "its weights are gone"
    elif record.weights_sha256 and weights != record.weights_sha256:
        why = "its weights are damaged"
    if why:
        warnings.warn(f"{record.id}: {why}; it does not count", DamagedRecord, stacklevel=2)
    return why


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        found = hashlib.sha256()
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()
