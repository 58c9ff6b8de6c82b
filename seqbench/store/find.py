"""Find saved runs, by what a user names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
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


def find_run(results: Path, which: str | None, *, suites: bool = True) -> Path:
    """The run that ``which`` names: a folder, ``suite/time-id``, ``time-id``, the id (with as much
    of the time as it takes, see :func:`short_ids`), or a suite (its latest run); without it, the
    latest run of all.

    Args:
        suites: whether a suite may be named.

    Raises:
        UsageError: no run matches, or more than one.
    """
    if which == "":
        raise UsageError("the name of a run must not be empty (see `seqbench list`)")
    if which and is_run(Path(which)):
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
    if of_suite and not suites:
        suite_name = of_suite[-1].parent.name
        raise UsageError(
            f"{which!r} is a suite; name a run (see `seqbench list --suite {suite_name}`)"
        )
    if of_suite:
        return of_suite[-1]
    named = [run for run in runs if which in _names(run)]
    if len(named) == 1:
        return named[0]
    if named:
        raise UsageError(
            f"{which!r} is ambiguous: it matches {len(named)} runs: {', '.join(map(str, named))}"
        )
    raise UsageError(_unknown(f"unknown run {which!r} under {results}/", which, results))


def short_ids(runs: Iterable[Path]) -> dict[Path, str]:
    """The shortest name of each run by which :func:`find_run` finds it.

    Args:
        runs: all runs under one folder.
    """
    runs = list(runs)
    count = Counter(name for run in runs for name in set(_names(run)))
    count.update({run.parent.name for run in runs})  # the name of a suite means its latest run
    return {run: next((name for name in _names(run) if count[name] == 1), str(run)) for run in runs}


def _names(run: Path) -> tuple[str, ...]:
    """The names of a run, shortest first: ``3f2a``, ``123Z-3f2a``, ``time-id``, ``suite/time-id``.

    Nothing shorter than the id is accepted: it would soon be ambiguous.
    """
    name = run.name
    found = (name.rpartition("-")[2], name.rpartition(".")[2], name, f"{run.parent.name}/{name}")
    return tuple(one for one in found if one)


def _unknown(message: str, name: str, results: Path) -> str:
    """The message with the nearest suite or run, or where to find all."""
    runs = find_runs(results)
    suites = dict.fromkeys(run.parent.name for run in runs)
    near = nearest(name, [*suites, *(f"{run.parent.name}/{run.name}" for run in runs)])
    return f"{message}; {did_you_mean(near)}" if near else f"{message} (see `seqbench list`)"
