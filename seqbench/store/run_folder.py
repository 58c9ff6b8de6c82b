"""The folder of a run: which files it has, reading and writing them."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import os
import secrets
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from seqbench.errors import StoreError
from seqbench.plan.cases import Report
from seqbench.records import FORMAT, CaseRecord, Comparison, TrialRecord
from seqbench.store.files import PARTIAL, append, make_folder
from seqbench.store.json_files import (
    Damaged,
    DamagedRecord,
    read_json_or,
    write_json,
    write_text,
)
from seqbench.store.lock import LOCK_FILE, RunLock
from seqbench.store.removed import RemovedFiles
from seqbench.store.state import LOG_FILE, RUN_FILE, RunState
from seqbench.store.stored_plan import StoredPlan, empty_plan, read_plan
from seqbench.store.validation import read_case, read_compared, read_trial

Record = TypeVar("Record")

SUITE_FILE, PLAN_FILE, ENVIRONMENT_FILE = "suite.yaml", "plan.json", "environment.json"

#: Empty, unless a trial was killed.
CHECKPOINTS = "checkpoints"

FOLDERS = (
    "trials", "cases", "comparisons", "samples", "weights", "answers", "logs", "reports",
    CHECKPOINTS,
)  # fmt: skip

#: The names of runs: time (UTC) and id.
RUN_NAME = r"\d{8}T\d{6}(\.\d+)?Z-[0-9a-f]+"

UNFINISHED = ".unfinished.json.gz"

#: Suffix of the name of a run that is being deleted.
DELETED = ".deleted"

#: Partial files that a killed runner may leave behind. safetensors uses its own temporary file,
#: ``.tmp…``.
LEFTOVERS = (f".*{PARTIAL}", *(f"{name}/*{PARTIAL}" for name in FOLDERS), "weights/.tmp*")


def checkpoint_file(trial: str) -> str:
    """The checkpoint of a trial, in the run's folder."""
    return f"{CHECKPOINTS}/{trial}.pt"


class RunFolder:
    """``results/<suite>/<UTC time>-<id>/``; docs/results.md describes every file in it."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = RunLock(path)
        self._state = RunState(path, self._lock)
        #: The files that were removed on purpose.
        self.removed = RemovedFiles(path)

    @classmethod
    def create(cls, results: Path, suite: str, text: str, plan: Mapping[str, Any]) -> RunFolder:
        """Create a folder with the suite's text and the resolved plan.

        Raises:
            StoreError: the folder cannot be written.
        """
        now = datetime.now(timezone.utc)
        milliseconds = now.microsecond // 1000
        name = f"{now:%Y%m%dT%H%M%S}.{milliseconds:03d}Z-{secrets.token_hex(2)}"
        folder = cls(results / suite / name)
        make_folder(folder.path)
        try:
            with folder._lock.hold():
                folder.write_plan(text, plan)
                folder._state.create(suite, now)
        except StoreError:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise
        return folder

    @staticmethod
    def try_place(results: Path) -> None:
        """Raise StoreError if runs cannot be saved under ``results``."""
        make_folder(results, exist_ok=True)
        try:
            tempfile.TemporaryFile(dir=results).close()
        except OSError as error:
            raise StoreError(
                f"cannot write to {results}: {error.strerror}; choose another folder with --out"
            ) from error

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open an existing folder.

        Raises:
            StoreError: it is not a run folder, or was written by a newer seqbench.
        """
        folder = cls(path)
        if not is_run(path):
            raise StoreError(f"{path} is not a run folder: {RUN_FILE} is missing")
        state = folder.state()
        if state.get("format", 0) > FORMAT:
            raise StoreError(
                f"{path} has format {state['format']}; this seqbench reads formats up to {FORMAT}: "
                "upgrade seqbench"
            )
        return folder

    # State.

    def state(self) -> dict[str, Any]:
        """See :meth:`RunState.read`."""
        return self._state.read()

    def set_state(self, status: str, **more: Any) -> None:
        """Set the status, and update other entries of ``run.json``."""
        self._state.set(status, **more)

    def begin(self, seconds: float, **more: Any) -> None:
        """Record that a runner starts; ``seconds``: time used by earlier ones."""
        shutil.rmtree(self.path / "reports", ignore_errors=True)  # they describe earlier results
        self._state.begin(seconds, **more)

    def seconds(self) -> float:
        """See :meth:`RunState.seconds`."""
        return self._state.seconds(self.path / CHECKPOINTS)

    def log(self, line: str) -> None:
        """Add a line to the run's log, with the time (UTC). Errors are ignored: if the disk is
        full, writing the next result reports it.
        """
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with contextlib.suppress(OSError), append(self.path / LOG_FILE) as file:
            file.write(f"{now} {' '.join(line.split())}\n".encode(errors="backslashreplace"))

    # Lock.

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock for the block, and remove partial files of a killed runner.

        Raises:
            StoreError: another runner is using this folder.
        """
        links = [name for name in FOLDERS if (self.path / name).is_symlink()]
        if links:
            path = self.path / links[0]
            raise StoreError(f"{path} is a symbolic link; refusing to write through it")
        with self._lock.hold():
            self._clear_leftovers()
            yield

    def _clear_leftovers(self) -> None:
        for path in (path for pattern in LEFTOVERS for path in self.path.glob(pattern)):
            try:
                path.unlink()
            except OSError as error:
                raise StoreError(f"cannot remove {path}: {error.strerror}") from error

    def require_free(self) -> None:
        """See :meth:`RunLock.require_free`."""
        self._lock.require_free()

    def in_use(self) -> bool:
        """Whether a runner is using this folder."""
        return self._lock.in_use()

    # Plan and environment.

    def plan(self) -> StoredPlan:
        """The resolved plan.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            return read_plan(self.path / PLAN_FILE)
        except Damaged as error:
            raise Damaged(
                f"{error}; restore it with `seqbench run --resume {self.path}`"
            ) from error

    def plan_or_empty(self) -> StoredPlan:
        """The resolved plan; if it is damaged, warn and return an empty one."""
        try:
            return read_plan(self.path / PLAN_FILE)
        except Damaged as error:
            warnings.warn(str(error), DamagedRecord, stacklevel=2)
            return empty_plan()

    def write_plan(self, text: str, plan: Mapping[str, Any]) -> None:
        """Write the suite's text and the resolved plan, replacing earlier ones."""
        write_text(self.path / SUITE_FILE, text)
        write_json(self.path / PLAN_FILE, plan)

    def update_plan(self, plan: Mapping[str, Any]) -> None:
        """Replace those entries of the resolved plan that ``plan`` has."""
        write_json(self.path / PLAN_FILE, {**self.plan_or_empty(), **plan})

    def selection(self) -> Any:
        """What the command line selected, as recorded; None if unknown."""
        kept = self.state().get("selection")
        return kept if kept is not None else self.plan_or_empty().get("selection")

    def environment(self) -> dict[str, Any]:
        """The description of the machine; empty if unknown."""
        path = self.path / ENVIRONMENT_FILE
        return read_json_or(path, {}) if path.exists() else {}

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Write the description of the machine. Raises StoreError."""
        write_json(self.path / ENVIRONMENT_FILE, environment)

    def write_report(self, report: Report, text: str) -> None:
        """Write a rendered report. Raises StoreError."""
        write_text(self.path / report.file, text)

    # Records.

    def write_trial(self, record: TrialRecord) -> None:
        """Write the record of a trial. Raises StoreError."""
        write_json(self.path / f"trials/{record.id}.json", dataclasses.asdict(record))

    def delete_checkpoint(self, trial: str) -> None:
        """Delete the checkpoint of a trial, if there is one."""
        with contextlib.suppress(OSError):
            (self.path / checkpoint_file(trial)).unlink(missing_ok=True)
            (self.path / CHECKPOINTS).rmdir()  # if it is empty

    def trial_files(self) -> list[Path]:
        """The files of all trial records, ordered by id."""
        return self._files("trials")

    def trial(self, path: Path) -> TrialRecord | None:
        """The record of one trial; None if it is damaged (see :meth:`_sound`)."""
        return self._sound(read_trial, path)

    def trials(self) -> Iterator[TrialRecord]:
        """All trial records that are not damaged, ordered by id."""
        found = (self.trial(path) for path in self.trial_files())
        return (record for record in found if record is not None)

    def write_case(self, record: CaseRecord) -> None:
        """Write the record of a case. Raises StoreError."""
        write_json(self.path / f"cases/{record.case}.json", dataclasses.asdict(record))

    def cases(self) -> Iterator[CaseRecord]:
        """All case records that are not damaged, ordered by id."""
        found = (self._sound(read_case, path) for path in self._files("cases"))
        return (record for record in found if record is not None)

    def write_comparisons(self, name: str, met: str, comparisons: Iterable[Comparison]) -> None:
        """Write the comparisons of the contest with the token ``met``; ``name`` is the job's."""
        found = [dataclasses.asdict(comparison) for comparison in comparisons]
        value = {"format": FORMAT, "met": met, "comparisons": found}
        write_json(self.path / f"comparisons/{name}.json", value)

    def comparisons(self) -> Iterator[Comparison]:
        """All comparisons of cases that were timed in the same contest."""
        for path in self._files("comparisons"):
            found = self._sound(read_compared, path)
            yield from found["comparisons"] if found else ()

    def compared(self, name: str) -> str | None:
        """The token of the contest of the comparisons ``name``; None if missing or damaged."""
        path = self.path / f"comparisons/{name}.json"
        found = self._sound(read_compared, path) if path.exists() else None
        return None if found is None else found.get("met", "")

    def _files(self, folder: str) -> list[Path]:
        found = (self.path / folder).glob("*.json")
        return sorted(path for path in found if path.name[0] != "." and not path.is_dir())

    def _sound(self, read: Callable[[Path], Record], path: Path) -> Record | None:
        """Read a record; None if it is damaged. A runner that holds the lock then renames the file,
        so that the trial or measurement runs again.
        """
        try:
            return read(path)
        except Damaged as error:
            done = "left out"
            if self._lock.held:
                aside = path.with_suffix(".damaged")
                path.replace(aside)
                done = f"set aside as {aside.name}"
            warnings.warn(f"{error}; {done}", DamagedRecord, stacklevel=2)
            return None

    # Samples.

    def unfinished(self, contest: str) -> Path:
        """The checkpoint of a contest, from which it resumes after an interruption."""
        return self.path / "samples" / f"{contest}{UNFINISHED}"

    def samples_are_sound(self, name: str, met: str) -> bool:
        """Whether a file of samples is readable and from the contest ``met``; warns if not. One
        that was removed on purpose has served its purpose.
        """
        path = self.path / name
        if self.removed.is_gone(name):
            return True
        try:
            with gzip.open(path) as file:
                if not file.read(1 << 20).startswith(f'{{"met": "{met}", '.encode()):
                    raise EOFError("it is empty, or from another contest")
                while file.read(1 << 20):
                    pass
        except (OSError, EOFError, zlib.error) as error:
            what = f"{path} cannot be read: {error}; its figures are ignored"
            warnings.warn(what, DamagedRecord, stacklevel=2)
            return False
        return True

    def keep_contests(self, names: Iterable[str]) -> None:
        """Delete comparisons of other contests, and all checkpoints: every contest has ended."""
        kept = set(names)
        for path in self._files("comparisons"):
            if path.stem not in kept:
                path.unlink()
        for path in (self.path / "samples").glob(f"*{UNFINISHED}"):
            path.unlink()


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run, even if its ``run.json`` is missing. One that is being
    deleted is not.
    """
    if path.name.endswith(DELETED):
        return False
    return os.path.isfile(path / RUN_FILE) or os.path.isfile(path / LOCK_FILE)  # noqa: PTH113 - never raises
