"""A run's folder: written piece by piece, each piece whole or not there."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import gzip
import json
import math
import os
import secrets
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path
from typing import Any

from seqbench.errors import StoreError
from seqbench.plan.cases import Report
from seqbench.records import FORMAT, CaseRecord, Comparison, Measurement, TrialRecord
from seqbench.store.files import append, current_umask, flush_folder, lock_file, make_folder

RUN_FILE = "run.json"

LOCK_FILE = "run.lock"

#: Every run has these; what was being written to one of them when its runner was killed goes.
OWN = (RUN_FILE, "plan.json", "suite.yaml", "environment.json")

FOLDERS = ("trials", "cases", "comparisons", "samples", "weights", "logs", "reports")

UNFINISHED = ".unfinished.json.gz"

#: The kind of value that each entry of run.json has.
STATE: Mapping[str, Any] = {
    "format": int, "suite": str, "status": str, "started": str, "seconds": (int, float),
    "leg": str, "file": str, "selection": dict,
}  # fmt: skip

BUSY = "{} is being run by another process: wait for it, or end it"


class DamagedRecord(UserWarning):
    """A record, or the weights of a trial, cannot be used: what it stands for is done again."""


class Damaged(StoreError):
    """A file of a run can be read, but holds what no seqbench wrote."""


class RunFolder:
    """``results/<suite>/<UTC time>-<id>/``; docs/results.md describes every file in it."""

    def __init__(self, path: Path):
        self.path = path
        self._locked: FileIO | None = None

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
        folder._write("suite.yaml", source)
        folder._write_json("plan.json", plan)
        state = {"format": FORMAT, "suite": suite, "status": "running"}
        started = now.isoformat(timespec="seconds")
        folder._write_json(RUN_FILE, {**state, "started": started})
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

    def state(self) -> dict[str, Any]:
        """``format``, ``suite``, ``status`` (running, finished, interrupted, failed; killed, where
        it says running and no runner is at work), ``started``, …
        """
        unknown = {"format": FORMAT, "suite": self.path.absolute().parent.name, "status": "damaged"}
        state = {**unknown, **self._own_state()}
        if state["status"] == "running" and not self.at_work():
            state["status"] = "killed"
        return state

    def _own_state(self) -> dict[str, Any]:
        """What ``run.json`` holds; what is of a wrong kind, or no number, is left out."""
        state = self._sound(RUN_FILE, otherwise={})
        return {
            name: value
            for name, value in state.items()
            if isinstance(value, STATE.get(name, object))
            and not (isinstance(value, float) and not math.isfinite(value))
            and not (name in ("seconds", "format") and isinstance(value, bool))
        }

    def set_state(self, status: str, **more: Any) -> None:
        """Changes the status and adds to what is said of the run."""
        self._write_json(RUN_FILE, {**self.state(), **more, "status": status})

    def begin(self, seconds: float, **more: Any) -> None:
        """A runner starts, or goes on after so many seconds of others."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        taken = {"seconds": seconds} if seconds else {}
        shutil.rmtree(self.path / "reports", ignore_errors=True)  # they are of what was there
        self.set_state("running", **taken, leg=now, **more)

    def seconds(self) -> float:
        """What earlier runners have taken; one that was killed, to the last line of the log. To be
        asked by one who holds the folder and has not begun.
        """
        state = self._own_state()
        known = state.get("seconds") or 0.0
        if state.get("status") == "running" and "leg" in state:
            with contextlib.suppress(OSError, ValueError, TypeError):
                last = (self.path / "run.log").stat().st_mtime
                known += max(0.0, last - datetime.fromisoformat(state["leg"]).timestamp())
        return round(known, 3)

    def plan(self) -> dict[str, Any]:
        """The resolved plan.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            return self._read_json("plan.json")
        except Damaged as error:
            raise Damaged(f"{error}; `seqbench run SUITE --resume {self.path}` mends it") from error

    def selection(self) -> Any:
        """What was chosen for the run, as it was written down; None where that is not known."""
        kept = self.state().get("selection")
        return kept if kept is not None else self._sound("plan.json", {}).get("selection")

    def planned(self) -> set[str]:
        """Ids of the trials in the plan; none where it is damaged."""
        return {trial["id"] for trial in self._sound("plan.json", {"trials": []})["trials"]}

    def environment(self) -> dict[str, Any]:
        """The machine; nothing where that is not known."""
        path = self.path / "environment.json"
        return self._sound("environment.json", otherwise={}) if path.exists() else {}

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        self._write_json("environment.json", environment)

    def write_trial(self, record: TrialRecord) -> None:
        self._write_json(f"trials/{record.id}.json", dataclasses.asdict(record))

    def write_case(self, record: CaseRecord) -> None:
        self._write_json(f"cases/{record.case}.json", dataclasses.asdict(record))

    def write_comparisons(self, name: str, met: str, comparisons: Iterable[Comparison]) -> None:
        """Keeps what came of a contest ``met``; ``name`` is the job's."""
        found = [dataclasses.asdict(comparison) for comparison in comparisons]
        value = {"format": FORMAT, "met": met, "comparisons": found}
        self._write_json(f"comparisons/{name}.json", value)

    def comparisons(self) -> Iterator[Comparison]:
        """Every pair of cases that were timed against each other so far."""
        for path in sorted((self.path / "comparisons").glob("*.json")):
            yield from self._compared(path) or ()

    def compared(self, name: str) -> str | None:
        """The contest that the comparisons of that name are of; None where there are none that are
        sound.
        """
        path = self.path / f"comparisons/{name}.json"
        if not path.exists() or self._compared(path) is None:
            return None
        return str(self._read_json(f"comparisons/{path.name}").get("met", ""))

    def _compared(self, path: Path) -> list[Comparison] | None:
        """The pairs of one contest; None if they are damaged, and then they are set aside."""
        try:
            value = self._read_json(f"comparisons/{path.name}")
            if not isinstance(value.get("comparisons"), list):
                raise Damaged(f"{path} holds no comparisons")
            return [_as(Comparison, item, path) for item in value["comparisons"]]
        except Damaged as error:
            self._set_aside(path, error)
            return None

    def unfinished(self, contest: str) -> Path:
        """The file that keeps what a contest has come to, should it be interrupted."""
        return self.path / "samples" / f"{contest}{UNFINISHED}"

    def samples_are_sound(self, name: str, met: str) -> bool:
        """Whether a file of samples can be read, and is of the contest ``met``; if not, that is
        said.
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
        for path in (self.path / "comparisons").glob("*.json"):
            if path.stem not in kept:
                path.unlink()
        for path in (self.path / "samples").glob(f"*{UNFINISHED}"):
            path.unlink()

    def write_report(self, report: Report, text: str) -> None:
        """What a report made of the run. Raises StoreError."""
        self._write(report.file, text)

    def trial_files(self) -> list[Path]:
        """One file for each trial recorded so far, in the order of their ids."""
        return sorted((self.path / "trials").glob("*.json"))

    def trials(self) -> Iterator[TrialRecord]:
        """Every trial recorded so far that can be read, in the order of their ids."""
        for path in self.trial_files():
            record = self.trial(path)
            if record is not None:
                yield record

    def trial(self, path: Path) -> TrialRecord | None:
        """The record of one trial; None if it is damaged, and then it is set aside."""
        try:
            record: TrialRecord = _as(TrialRecord, self._read_json(f"trials/{path.name}"), path)
            if not _is_sound(record):
                raise Damaged(f"{path} does not hold what a record does")
            if record.id != path.stem:
                raise Damaged(f"{path} holds the record of another trial, {record.id}")
        except Damaged as error:
            self._set_aside(path, error)
            return None
        return record

    def cases(self) -> Iterator[CaseRecord]:
        """Every case measured so far whose record can be read, in the order of their ids."""
        for path in sorted((self.path / "cases").glob("*.json")):
            try:
                yield self._case(path)
            except Damaged as error:
                self._set_aside(path, error)

    def _case(self, path: Path) -> CaseRecord:
        value = self._read_json(f"cases/{path.name}")
        found = tuple(_as(Measurement, item, path) for item in value.pop("measurements", ()))
        return _as(CaseRecord, {**value, "measurements": found}, path)  # type: ignore[no-any-return]

    def _set_aside(self, path: Path, error: Damaged) -> None:
        """Says that a record is damaged; the runner at work renames it, and does again what it
        stands for.
        """
        done = "left out"
        if self._locked is not None:
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            done = f"set aside as {aside.name}"
        warnings.warn(f"{error}; {done}", DamagedRecord, stacklevel=2)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runners out, and clears away what one that was killed was writing.

        Raises:
            StoreError: another one is at work in this folder.
        """
        self._lock()
        try:
            self._clear_leftovers()
            yield
        finally:
            if self._locked is not None:
                self._locked.close()
                self._locked = None

    def _clear_leftovers(self) -> None:
        patterns = [f".{name}.*" for name in OWN]
        patterns += [f"{name}/{what}" for name in FOLDERS for what in (".*.json.*", "*.partial")]
        for pattern in patterns:
            for path in self.path.glob(pattern):
                try:
                    path.unlink()
                except OSError as error:
                    raise StoreError(f"cannot remove {path}: {error.strerror}") from error

    def check_free(self) -> None:
        """Whether a runner could go on with this run. Raises StoreError."""
        if self.at_work():
            raise StoreError(BUSY.format(self.path))
        if not os.access(self.path, os.W_OK):
            raise StoreError(
                f"{self.path} may not be written to, or lies on a disk that may only be read"
            )

    def at_work(self) -> bool:
        """Whether a runner is at work in this folder."""
        try:
            with (self.path / LOCK_FILE).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def _lock(self) -> None:
        path = self.path / LOCK_FILE
        links = [name for name in FOLDERS if (self.path / name).is_symlink()]
        if links:
            raise StoreError(
                f"{self.path / links[0]} is a link: results are not written through it"
            )
        try:
            file = append(path)
            lock_file(file)
            self._locked = file
        except BlockingIOError:
            raise StoreError(BUSY.format(self.path)) from None
        except OSError as error:
            raise StoreError(f"cannot lock {path}: {error.strerror}") from error

    def plan_again(self, source: str, plan: Mapping[str, Any]) -> None:
        """Another suite and plan for the same run."""
        self._write("suite.yaml", source)
        self._write_json("plan.json", plan)

    def log(self, line: str) -> None:
        """Adds a line to the run's own log, with the time (UTC). A log that cannot be written costs
        nothing else: where results cannot be, that is told when they are.
        """
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with contextlib.suppress(OSError), append(self.path / "run.log") as file:
            file.write(f"{now} {' '.join(line.split())}\n".encode())

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        try:
            text = json.dumps(value, indent=1, allow_nan=False)
        except ValueError as error:
            raise StoreError(f"cannot write {self.path / name}: {error}") from error
        self._write(name, text + "\n")

    def _write(self, name: str, text: str) -> None:
        """Temporary file in the same folder, flushed to the disk, then renamed."""
        path = self.path / name
        try:
            path.parent.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
            ) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).chmod(0o666 & ~current_umask())
            Path(file.name).replace(path)
            flush_folder(path.parent)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error

    def _sound(self, name: str, otherwise: dict[str, Any]) -> dict[str, Any]:
        """What a file of the run holds; if it is damaged, that is said, and it is ``otherwise``."""
        try:
            return self._read_json(name)
        except Damaged as error:
            warnings.warn(str(error), DamagedRecord, stacklevel=2)
            return otherwise

    def _read_json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise Damaged(f"{path} is gone") from error
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise Damaged(f"{path} is not valid JSON: {error}") from error
        if not isinstance(value, dict):
            raise Damaged(f"{path} does not hold a JSON object")
        return value


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run, also if its ``run.json`` is gone."""
    return (path / RUN_FILE).is_file() or (path / LOCK_FILE).is_file()


def _is_sound(record: TrialRecord) -> bool:
    """Whether what is nested in it is of the kinds that are relied on."""
    scores, stamp = record.scores, record.weights_stamp
    return (
        isinstance(record.metrics, dict)
        and isinstance(stamp, (list, tuple))
        and isinstance(scores, dict)
        and all(
            isinstance(score, dict)
            and isinstance(score.get("status"), str)
            and isinstance(score.get("reason"), str)
            and (isinstance(score.get("value"), (int, float)) or score["status"] != "ok")
            for score in scores.values()
        )
    )


def _as(kind: type[Any], value: dict[str, Any], path: Path) -> Any:
    """A record from its JSON; keys that a later version added are left out."""
    fields = {field.name for field in dataclasses.fields(kind)}
    try:
        return kind(**{key: item for key, item in value.items() if key in fields})
    except (TypeError, AttributeError) as error:
        raise Damaged(f"{path} is not a {kind.__name__}: {error}") from error
