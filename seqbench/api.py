"""The Python API: what ``seqbench run`` does, as a function."""

from __future__ import annotations

import contextlib
import numbers
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqbench.display.choose import choose_display
from seqbench.errors import UsageError
from seqbench.executors.base import Executor
from seqbench.executors.registry import make_executor
from seqbench.report.run import Run
from seqbench.runner.resume.earlier import Resume
from seqbench.runner.resume.suite import suite_and_run
from seqbench.runner.start import Request, start_run
from seqbench.store.places import expanded
from seqbench.store.run_folder import RunFolder
from seqbench.suite.files import SuiteFile, read_suite, suite_from_dict
from seqbench.suite.selection import LISTS, Selection
from seqbench.suite.shipped import find_suite

RESULTS = Path("results")


def run(
    suite: str | Path | Mapping[str, Any] | None = None,
    *,
    overrides: Sequence[str] = (),
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    devices: Sequence[str] = (),
    seeds: int | None = None,
    allow_many: bool = False,
    out: str | Path = RESULTS,
    data_dir: str | Path | None = None,
    jobs: int | None = None,
    resume: bool | str | Path = False,
    retry_failed: bool = False,
    progress: bool | None = None,
) -> Run:
    """Run a suite and return its results, like ``seqbench run``. Failed trials are results.

    Args:
        suite: path of a YAML file, name of a shipped suite (text without slash and ``.yaml``), or
            a dictionary with the keys of the YAML. With ``resume`` it can be omitted.
        overrides: settings to change, such as ``"train.epochs=2"``.
        models: run only these (names or labels).
        datasets: run only these (names or labels).
        devices: replace the suite's devices.
        seeds: replaces the suite's seeds: 0 to ``seeds`` - 1.
        allow_many: allow more than 1,000 trials.
        out: folder of all runs.
        data_dir: folder to search for datasets first; default: ``SEQBENCH_DATA``.
        jobs: maximum number of busy CPU cores; default: all.
        resume: True for the latest run of the suite, or a run's folder, name or id.
        retry_failed: with ``resume``: also retry failures.
        progress: whether to show progress; default: on a terminal and in a notebook.

    Raises:
        UsageError: an invalid argument, or an unknown suite or run.
        SuiteError: an invalid suite: one line for each problem.
        StoreError: a result cannot be written, or another process uses the run.
        KeyboardInterrupt: interrupted; the run can be resumed.
    """
    selection = _selection(overrides, models, datasets, devices, seeds=seeds, allow_many=allow_many)
    place = expanded(_path(out, "out"), "out")
    options = _Options(place, _data_dir(data_dir), make_executor(cores=_whole(jobs, "jobs")))
    request = _request(suite, selection, place, resume=resume, retry_failed=retry_failed)
    return _run(request, options, progress)


@dataclass(frozen=True)
class _Options:
    """Where and how to run, as for :func:`.start_run`."""

    out: Path
    data_dir: Path | None
    executor: Executor


def _run(request: Request, options: _Options, progress: bool | None) -> Run:
    """Run with a display. If interrupted, print how to resume."""
    folders: list[RunFolder] = []
    display = choose_display(progress)
    shown = {} if display is None else {"on_resume": display.resumed}
    try:
        with display or contextlib.nullcontext():
            return start_run(
                request,
                out=options.out,
                data_dir=options.data_dir,
                progress=None if display is None else display.progress(),
                on_folder=folders.append,
                executor=options.executor,
                **shown,
            )
    except KeyboardInterrupt:
        if folders and display is not None:
            path = str(folders[0].path)
            print(f"resume with: seqbench.run(resume={path!r})", file=sys.stderr)
        raise


def _request(
    suite: Any, selection: Selection, out: Path, *, resume: Any, retry_failed: bool
) -> Request:
    """Raises UsageError."""
    if resume == "":
        raise UsageError("resume must be True, or a run, its path or its id; not ''")
    if suite is None and not resume:
        raise UsageError("give a suite, or a run to resume: seqbench.run(resume=True)")
    if retry_failed and not resume:
        raise UsageError("retry_failed needs resume")
    named = None
    if resume:
        given = resume.path if isinstance(resume, Run) else resume
        named = "" if resume is True else str(_path(given, "resume"))
    file, folder = suite_and_run(_suite(suite), selection, out, named)
    return Request(file, selection, None if folder is None else Resume(folder, retry_failed))


def _suite(given: Any) -> SuiteFile | None:
    """The suite as it was given. Raises UsageError."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return suite_from_dict(given)
    return read_suite(find_suite(_path(given, "suite", "a path, a name or a dictionary")))


def _selection(*lists: Any, seeds: int | None, allow_many: bool) -> Selection:
    """Raises UsageError. ``lists``: the values of :data:`.LISTS`, in order."""
    texts = {name: _names(value, name) for name, value in zip(LISTS, lists, strict=True)}
    return Selection(**texts, seeds=_whole(seeds, "seeds"), allow_many=allow_many)


def _names(value: Any, named: str) -> list[str]:
    """A single name means a list of one. Raises UsageError."""
    names = [value] if isinstance(value, str) else value
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
        return list(names)
    raise UsageError(f"{named} must be a list of names, not {value!r}")


def _whole(value: Any, named: str) -> int | None:
    """A whole number of at least 1, or None. Raises UsageError."""
    if value is None:
        return None
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= 1:
        return int(value)
    raise UsageError(f"{named} must be a whole number of at least 1, not {value!r}")


def _path(value: Any, named: str, what: str = "a path") -> str | Path:
    """Raises UsageError."""
    if isinstance(value, (str, Path)):
        return value
    raise UsageError(f"{named} must be {what}, not {value!r}")


def _data_dir(given: Any) -> Path | None:
    """The folder of ``data_dir``, or of ``SEQBENCH_DATA``. Raises UsageError."""
    named = "data_dir" if given else "SEQBENCH_DATA"
    given = given or os.environ.get(named)
    if not given:
        return None
    path = expanded(_path(given, named), named)
    if not path.is_dir():
        raise UsageError(f"{named}: no folder {str(path)!r}")
    return path
