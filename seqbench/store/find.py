"""Find saved runs, by what a user names."""

from __future__ import annotations

import re
from pathlib import Path

from seqbench.errors import UsageError
from seqbench.store.run_folder import RUN_NAME, is_run
from seqbench.suggest import did_you_mean, nearest


def latest_run(results: Path, suite: str) -> Path:
    """The latest run of a suite. Raises UsageError if it has none."""
    of_suite = [run for run in find_runs(results) if run.parent.name == suite]
    if not of_suite:
        raise UsageError(_unknown(f"no run of {suite!r} under {results}/", suite, results))
    return of_suite[-1]


def find_runs(results: Path) -> list[Path]:
    """Every run folder under ``results``, oldest first, without reference results.

    Copies and other folders that were named by hand come first, since their names have no time.
    A link to a run that is listed anyway is left out.
    """
    runs = [path for path in results.glob("*/*") if is_run(path)]
    runs = [path for path in runs if path.parent.name != "reference"]
    distinct: dict[Path, Path] = {}
    for path in sorted(runs, key=lambda path: path.is_symlink() or path.parent.is_symlink()):
        distinct.setdefault(path.resolve(), path)
    named = re.compile(RUN_NAME)
    return sorted(
        distinct.values(), key=lambda path: (bool(named.fullmatch(path.name)), path.name, str(path))
    )


def find_run(results: Path, which: str | None) -> Path:
    """The run that ``which`` names: a folder, ``suite/time-id``, ``time-id``, the id, or a suite
    (its latest run); without it, the latest run of all.

    Raises:
        UsageError: no run matches, or more than one.
    """
    if which is not None and is_run(Path(which)):
        return Path(which)
    runs = find_runs(results)
    if not runs:
        raise UsageError(
            f"no runs under {results.absolute()}: create one with `seqbench run SUITE`, "
            "or choose another folder with --out"
        )
    if which is None:
        return runs[-1]
    suite = Path(which)
    of_suite = [run for run in runs if run.parent.name == which or run.parent == suite]
    if of_suite:
        return of_suite[-1]
    named = [
        run
        for run in runs
        if which in (run.name, f"{run.parent.name}/{run.name}", run.name.rpartition("-")[2])
    ]
    if len(named) == 1:
        return named[0]
    if named:
        raise UsageError(
            f"{which!r} is ambiguous: it matches {len(named)} runs: {', '.join(map(str, named))}"
        )
    raise UsageError(_unknown(f"unknown run {which!r} under {results}/", which, results))


def _unknown(message: str, name: str, results: Path) -> str:
    """The message with the nearest suite or run, or where to find all."""
    runs = find_runs(results)
    suites = dict.fromkeys(run.parent.name for run in runs)
    near = nearest(name, [*suites, *(f"{run.parent.name}/{run.name}" for run in runs)])
    return f"{message}; {did_you_mean(near)}" if near else f"{message} (see `seqbench list`)"
