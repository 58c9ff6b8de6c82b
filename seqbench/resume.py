"""Whether a run may be gone on with, and what of it need not be done again, and why."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqbench.errors import UsageError
from seqbench.plan import Plan
from seqbench.provenance import stamp
from seqbench.records import Trial, TrialRecord
from seqbench.selection import LISTS, Selection, setting_of
from seqbench.store import DamagedRecord, RunFolder

#: What must not change while a run goes on: figures of different machines are never mixed.
MACHINE = ("cpu", "cores", "torch", "seqbench")
NONE = "(none)"


@dataclass(frozen=True)
class Decision:
    """What becomes of one planned trial.

    Args:
        record: what an earlier attempt left and is kept; None where the trial is to be run.
        why: in a few words.
        earlier: the record of an earlier attempt that ended, but is to be made again.
        comes_out: digest of the weights that it had, and will have again; "" if that is not known.
    """

    trial: Trial
    record: TrialRecord | None
    why: str
    earlier: TrialRecord | None = None
    comes_out: str = ""


def decide(plan: Plan, folder: RunFolder, *, retry_failed: bool) -> Iterator[Decision]:
    """A decision for each trial of ``plan``, in its order.

    The id of a trial is a hash of all that defines it: a record of that id is what the trial would
    be again. It is kept if it can be read and its weights are those that it names. One that did
    not end well is kept as well, unless ``retry_failed``.
    """
    known = {path.stem: path for path in folder.trial_files()}
    planned = folder.planned()
    records = {t.id: folder.trial(known[t.id]) for t in plan.trials if t.id in known}
    digests = _digests(folder.path, records.values())
    for trial in plan.trials:
        if trial.id not in known:
            yield Decision(trial, None, _why_new(trial, planned))
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


def check_again(
    folder: RunFolder, plan: Plan, selection: Selection, environment: Mapping[str, Any]
) -> None:
    """Whether a run may be gone on with: as the same study, on the same machine.

    Raises:
        UsageError: it may not.
    """
    state = folder.state()
    if state.get("suite") != plan.suite.name:
        raise UsageError(
            f"{folder.path} is a run of {state.get('suite')!r}, not of {plan.suite.name!r}"
        )
    chosen = folder.selection()
    if chosen is not None:
        _check_selection(folder, Selection.of(chosen), selection)
    before = folder.environment()
    for name in MACHINE:
        if name in before and before[name] != environment.get(name):
            raise UsageError(
                f"{folder.path} was run with {name} {before[name]}, here it is "
                f"{environment.get(name)}: go on where it was begun, or run the suite anew"
            )


def _check_selection(folder: RunFolder, before: Selection, now: Selection) -> None:
    for name in ("models", "datasets"):
        given, option = getattr(before, name), LISTS[name]
        if sorted(given) != sorted(getattr(now, name)):
            raise UsageError(
                f"{folder.path} was run with {option} {', '.join(given) or '(all)'}: "
                f"give the same {option} to go on with it, or none"
            )
    sets = [" ".join(o for o in each.overrides if not _limits(o)) for each in (before, now)]
    if sets[0] != sets[1]:
        warnings.warn(
            f"{folder.path} was last run with --set {sets[0] or NONE}, now with {sets[1] or NONE}: "
            "what that changes is run anew",
            stacklevel=2,
        )


def _limits(override: str) -> bool:
    """Whether it changes nothing but when a trial is ended."""
    return setting_of(override).partition(".")[0] == "limits"


def as_before(selection: Selection, folder: RunFolder) -> Selection:
    """What was chosen for the run holds, but for what is chosen now: of settings each by itself."""
    before = Selection.of(folder.selection())
    now = {setting_of(override) for override in selection.overrides}
    kept = [override for override in before.overrides if setting_of(override) not in now]
    return Selection(
        overrides=(*kept, *selection.overrides),
        models=selection.models or before.models,
        datasets=selection.datasets or before.datasets,
        devices=selection.devices or before.devices,
        seeds=before.seeds if selection.seeds is None else selection.seeds,
        allow_many=before.allow_many or selection.allow_many,
    )
