"""The suite of a run that is resumed without naming it."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from seqbench.errors import UsageError
from seqbench.store.run_folder import SUITE_FILE, RunFolder
from seqbench.suite.files import SuiteFile, read_suite, suite_from_text
from seqbench.suite.shipped import find_suite, is_path, shipped_names


def place_of(suite: Path, folder: Path) -> str:
    """A suite's file as seen from the run's folder, which stays right if both are moved together
    or the run is resumed from another working folder.
    """
    return os.path.relpath(suite.absolute(), folder.resolve())


def suite_of(folder: RunFolder) -> SuiteFile:
    """The suite of a run: its file; if that is gone, the text stored in the run, with a warning.

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
    if path.is_file() and (given or place):
        return read_suite(path)
    stored = folder.path / SUITE_FILE
    if not stored.is_file():
        raise UsageError(
            f"{path}, the suite of {folder.path}, is gone, and so is {stored}: "
            f"name the suite: seqbench run SUITE --resume {folder.path}"
        )
    warnings.warn(f"{path} is gone: the run continues with the suite in {stored}", stacklevel=2)
    return suite_from_text(stored.read_text("utf-8", "replace"), str(stored), path)
