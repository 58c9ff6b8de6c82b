"""Find saved runs, and the one that a user names."""

from __future__ import annotations

from pathlib import Path

from seqbench.errors import UsageError
from seqbench.store.run_folder import is_run


def latest_run(results: Path, suite: str) -> Path:
    """The latest run of a suite. Raises UsageError if it has none."""
    of_suite = [run for run in find_runs(results) if run.parent.name == suite]
    if not of_suite:
        raise UsageError(f"no run of {suite!r} under {results}/ (see `seqbench list`)")
    return of_suite[-1]


def find_runs(results: Path) -> list[Path]:
    """Every run folder under ``results``, oldest first, without reference results."""
    runs = [path for path in results.glob("*/*") if is_run(path)]
    runs = [path for path in runs if path.parent.name != "reference"]
    return sorted(runs, key=lambda path: (path.name, str(path)))


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
    raise UsageError(f"unknown run {which!r} under {results}/ (see `seqbench list`)")
