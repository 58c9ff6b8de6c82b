"""The suite and the run to resume: either of them identifies the other."""

from __future__ import annotations

import dataclasses
import os
import warnings
from pathlib import Path

from seqbench.errors import UsageError
from seqbench.plan.of_suite import as_overrides
from seqbench.store.find import find_run, latest_run
from seqbench.store.run_folder import SUITE_FILE, RunFolder
from seqbench.suite.files import SuiteFile, read_suite, suite_from_text
from seqbench.suite.selection import Selection
from seqbench.suite.shipped import find_suite, is_path, shipped_names
from seqbench.suite.validate import suite_name


def suite_and_run(
    suite: SuiteFile | None, selection: Selection, out: Path, resume: str | None
) -> tuple[SuiteFile, RunFolder | None]:
    """The suite, and the run to resume. Without a suite, that of the run.

    Args:
        out: folder of all runs.
        resume: the run to resume, as for :func:`.find_run`. ``""``: the suite's latest run or,
            without a suite, the latest run of all. None: start a new run.

    Raises:
        UsageError: neither a suite nor a run is given, or there is no such run.
    """
    if suite is None:
        if resume is None:
            raise UsageError("neither a suite nor a run to resume is given")
        folder = RunFolder.open(find_run(out, resume or None))
        return suite_of(folder), folder
    if resume is None:
        return suite, None
    if resume == "":
        path = latest_run(out, suite_name(suite, as_overrides(selection)))
    else:
        path = find_run(out, resume)
    return suite, RunFolder.open(path)


def place_of(suite: Path, folder: Path) -> str:
    """A suite's file as seen from the run's folder, which stays right if both are moved together
    or the run is resumed from another working folder.
    """
    return os.path.relpath(suite.absolute(), folder.resolve())


def suite_of(folder: RunFolder) -> SuiteFile:
    """The suite of a run: its file; if that is gone, the text stored in the run, with a warning.
    A suite that was given as a dictionary has no file.

    Raises:
        SuiteError: the file is not a valid suite.
        UsageError: neither is there.
    """
    state = folder.state()
    given, place = state.get("file", ""), state.get("place", "")
    if given in shipped_names() and not is_path(given):
        return read_suite(find_suite(given))
    path = Path(given or f"{state['suite']}.yaml")
    if place:
        path = Path(os.path.relpath(os.path.normpath(folder.path.resolve() / place)))
    in_file = "file" not in state or given != ""
    if in_file and path.is_file() and (given or place):
        return read_suite(path)
    stored = folder.path / SUITE_FILE
    if not stored.is_file():
        raise UsageError(
            f"{path}, the suite of {folder.path}, is gone, and so is {stored}: "
            f"name the suite: seqbench run SUITE --resume {folder.path}"
        )
    if in_file:
        warnings.warn(f"{path} is gone: the run continues with the suite in {stored}", stacklevel=2)
    text = stored.read_text("utf-8", "replace")
    return dataclasses.replace(suite_from_text(text, str(stored), path), in_file=in_file)
