"""A run's folder: which files a run has, read and written."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
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
    read_json,
    read_json_or,
    write_json,
    write_text,
)
from seqbench.store.lock import LOCK_FILE, RunLock
from seqbench.store.state import LOG_FILE, RUN_FILE, RunState
from seqbench.store.validation import read_case, read_compared, read_trial

Record = TypeVar("Record")

SUITE_FILE, PLAN_FILE, ENVIRONMENT_FILE = "suite.yaml", "plan.json", "environment.json"

FOLDERS = ("trials", "cases", "comparisons", "samples", "weights", "logs", "reports")

UNFINISHED = ".unfinished.json.gz"

#: What a killed runner may have left of a file that it was writing. safetensors writes to a file of
#: its own first, ``.tmp…``.
LEFTOVERS = (f".*{PARTIAL}", *(f"{name}/*{PARTIAL}" for name in FOLDERS), "weights/.tmp*")


class RunFolder:
    """``results/<suite>/<UTC time>-<id>/``; docs/results.md describes every file in it."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = RunLock(path)
        self._state = RunState(path, self._lock)

    @classmethod
    def create(cls, results: Path, suite: str, source: str, plan: Mapping[str, Any]) -> RunFolder:
        """A new folder with the suite as given and the resolved plan.

        Raises:
            StoreError: it cannot be written.
        """
        now = datetime.now(timezone.utc)
        milliseconds = now.microsecond // 1000
        name = f"{now:%Y%m%dT%H%M%S}.{milliseconds:03d}Z-{secrets.token_hex(2)}"
        folder = cls(results / suite / name)
        make_folder(folder.path)
        folder.plan_again(source, plan)
        folder._state.create(suite, now)
        return folder

    @staticmethod
    def try_place(results: Path) -> None:
        """Whether runs can be kept there. Raises StoreError."""
        make_folder(results, exist_ok=True)
        try:
            tempfile.TemporaryFile(dir=results).close()
        except OSError as error:
            raise StoreError(
                f"cannot write to {results}: {error.strerror}; name another place with --out"
            ) from error

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing folder.

        Raises:
            StoreError: it is none, or was written by a newer seqbench.
        """
        folder = cls(path)
        if not is_run(path):
            raise StoreError(f"{path} is not a run folder: it has no {RUN_FILE}")
        state = folder.state()
        if state.get("format", 0) > FORMAT:
            raise StoreError(
                f"{path} has format {state['format']}; this seqbench reads formats up to {FORMAT}: "
                "upgrade it"
            )
        return folder

    # Where it stands.

    def state(self) -> dict[str, Any]:
        """See :meth:`RunState.read`."""
        return self._state.read()

    def set_state(self, status: str, **more: Any) -> None:
        """Changes the status and adds to what is said of the run."""
        self._state.set(status, **more)

    def begin(self, seconds: float, **more: Any) -> None:
        """A runner starts; ``seconds`` is what earlier ones have taken."""
        shutil.rmtree(self.path / "reports", ignore_errors=True)  # they are of what was there
        self._state.begin(seconds, **more)

    def seconds(self) -> float:
        """See :meth:`RunState.seconds`."""
        return self._state.seconds()

    def log(self, line: str) -> None:
        """Adds a line to the run's own log, with the time (UTC). A log that cannot be written is no
        error: where results cannot be either, that is reported when they are.
        """
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with contextlib.suppress(OSError), append(self.path / LOG_FILE) as file:
            file.write(f"{now} {' '.join(line.split())}\n".encode())

    # Who is at work in it.

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runners out, and clears away what one that was killed was writing.

        Raises:
            StoreError: another one is at work in this folder.
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

    def check_free(self) -> None:
        """Whether a runner could resume this run. Raises StoreError."""
        self._lock.check_free()

    def at_work(self) -> bool:
        """Whether a runner is at work in this folder."""
        return self._lock.at_work()

    # What was planned, and on which machine.

    def plan(self) -> dict[str, Any]:
        """The resolved plan.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            return read_json(self.path / PLAN_FILE)
        except Damaged as error:
            raise Damaged(f"{error}; `seqbench run SUITE --resume {self.path}` mends it") from error

    def plan_or(self, otherwise: dict[str, Any]) -> dict[str, Any]:
        """The resolved plan; ``otherwise`` where it is damaged, with a warning."""
        return read_json_or(self.path / PLAN_FILE, otherwise)

    def plan_again(self, source: str, plan: Mapping[str, Any]) -> None:
        """Another suite and plan for the same run."""
        write_text(self.path / SUITE_FILE, source)
        write_json(self.path / PLAN_FILE, plan)

    def selection(self) -> Any:
        """What was chosen for the run, as it was written down; None where that is not known."""
        kept = self.state().get("selection")
        return kept if kept is not None else self.plan_or({}).get("selection")

    def environment(self) -> dict[str, Any]:
        """The machine; nothing where that is not known."""
        path = self.path / ENVIRONMENT_FILE
        return read_json_or(path, {}) if path.exists() else {}

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        write_json(self.path / ENVIRONMENT_FILE, environment)

    def write_report(self, report: Report, text: str) -> None:
        """What a report made of the run. Raises StoreError."""
        write_text(self.path / report.file, text)

    # Records.

    def write_trial(self, record: TrialRecord) -> None:
        write_json(self.path / f"trials/{record.id}.json", dataclasses.asdict(record))

    def trial_files(self) -> list[Path]:
        """One file for each trial recorded so far, in the order of their ids."""
        return self._files("trials")

    def trial(self, path: Path) -> TrialRecord | None:
        """The record of one trial; None if it is damaged, and then it is set aside."""
        return self._sound(read_trial, path)

    def trials(self) -> Iterator[TrialRecord]:
        """Every trial recorded so far that can be read, in the order of their ids."""
        found = (self.trial(path) for path in self.trial_files())
        return (record for record in found if record is not None)

    def write_case(self, record: CaseRecord) -> None:
        write_json(self.path / f"cases/{record.case}.json", dataclasses.asdict(record))

    def cases(self) -> Iterator[CaseRecord]:
        """Every case measured so far whose record can be read, in the order of their ids."""
        found = (self._sound(read_case, path) for path in self._files("cases"))
        return (record for record in found if record is not None)

    def write_comparisons(self, name: str, met: str, comparisons: Iterable[Comparison]) -> None:
        """Keeps what came of a contest ``met``; ``name`` is the job's."""
        found = [dataclasses.asdict(comparison) for comparison in comparisons]
        value = {"format": FORMAT, "met": met, "comparisons": found}
        write_json(self.path / f"comparisons/{name}.json", value)

    def comparisons(self) -> Iterator[Comparison]:
        """Every pair of cases that were timed against each other so far."""
        for path in self._files("comparisons"):
            found = self._sound(read_compared, path)
            yield from found["comparisons"] if found else ()

    def compared(self, name: str) -> str | None:
        """The contest that the comparisons of that name are of; None where there are none that are
        sound.
        """
        path = self.path / f"comparisons/{name}.json"
        found = self._sound(read_compared, path) if path.exists() else None
        return None if found is None else found.get("met", "")

    def _files(self, folder: str) -> list[Path]:
        return sorted((self.path / folder).glob("*.json"))

    def _sound(self, read: Callable[[Path], Record], path: Path) -> Record | None:
        """A record; None if it is damaged. The runner at work then renames it, and repeats what it
        stands for.
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
        """The file that keeps what a contest has come to, should it be interrupted."""
        return self.path / "samples" / f"{contest}{UNFINISHED}"

    def samples_are_sound(self, name: str, met: str) -> bool:
        """Whether a file of samples can be read, and is of the contest ``met``; if not, a warning
        says so.
        """
        path = self.path / name
        try:
            with gzip.open(path) as file:
                if not file.read(1 << 20).startswith(f'{{"met": "{met}", '.encode()):
                    raise EOFError("it is empty, or of another contest")
                while file.read(1 << 20):
                    pass
        except (OSError, EOFError, zlib.error) as error:
            what = f"{path} cannot be read: {error}; its figures do not count"
            warnings.warn(what, DamagedRecord, stacklevel=2)
            return False
        return True

    def keep_contests(self, names: Iterable[str]) -> None:
        """All contests have come to their end: what there is of others goes."""
        kept = set(names)
        for path in self._files("comparisons"):
            if path.stem not in kept:
                path.unlink()
        for path in (self.path / "samples").glob(f"*{UNFINISHED}"):
            path.unlink()


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run, also if its ``run.json`` is gone."""
    return (path / RUN_FILE).is_file() or (path / LOCK_FILE).is_file()
