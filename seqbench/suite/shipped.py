"""The suites shipped with seqbench, found by name, with descriptions and requirements."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import seqbench
from seqbench.errors import UsageError
from seqbench.suggest import suggestion

SUFFIXES = (".yaml", ".yml")

#: Starts the part of a suite's first comment that lists its requirements.
NEEDS = "Needs: "


@dataclass(frozen=True)
class ShippedSuite:
    """A shipped suite, as described by its first comment.

    Args:
        description: one sentence.
        needs: data with its size, additional packages, time.
    """

    name: str
    path: Path
    description: str
    needs: str


def shipped_folder() -> Path:
    """The folder ``suites/``: inside an installed package, or beside it in a checkout."""
    package = Path(seqbench.__file__).parent
    installed = package / "suites"
    return installed if installed.is_dir() else package.parent / "suites"


def shipped_names() -> list[str]:
    """The names of all shipped suites, sorted."""
    return sorted(path.stem for path in shipped_folder().glob("*.yaml"))


def shipped_suites() -> list[ShippedSuite]:
    """All shipped suites, by name."""
    return [_described(shipped_folder() / f"{name}.yaml") for name in shipped_names()]


def find_suite(given: str | Path) -> Path:
    """The file of a suite, given as a path or as the name of a shipped suite.

    A :class:`~pathlib.Path` is a path, and so is text that contains a slash or ends in ``.yaml`` or
    ``.yml``. Any other text is a name.

    Raises:
        UsageError: no shipped suite has that name.
    """
    if isinstance(given, Path) or is_path(given):
        return Path(given)
    names = shipped_names()
    if given in names:
        return shipped_folder() / f"{given}.yaml"
    example = f"./{given}" if Path(given).is_file() else "mine.yaml"
    raise UsageError(
        f"unknown suite {given!r}; {suggestion(given, names)} "
        f"(a file's path needs a slash or .yaml, as in {example})"
    )


def as_given(path: Path) -> str:
    """A suite's file as an argument of the command line; a shipped one by its name."""
    if path.parent == shipped_folder() and path.stem in shipped_names():
        return path.stem
    return str(path) if is_path(str(path)) else f".{os.sep}{path}"


def is_path(text: str) -> bool:
    """Whether a suite given as ``text`` is a file's path, and not a shipped suite's name."""
    return "/" in text or os.sep in text or text.endswith(SUFFIXES)


def _described(path: Path) -> ShippedSuite:
    """A shipped suite, from the comment at the top of its file."""
    words: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        words.append(line.removeprefix("#").strip())
    about, _, needs = " ".join(words).partition(NEEDS)
    return ShippedSuite(path.stem, path, f"{about.split('. ')[0].strip().rstrip('.')}.", needs)
