"""What figures come from: a fingerprint of a plugin's source, a stamp of a file."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from seqbench.errors import PluginError
from seqbench.plugins.choice import Choice

#: A package with more files than that is no plugin's own; its version has to do.
MOST_FILES = 500

#: What stays the same during a run (seqbench.runner.resume.check.MACHINE) is no part of a source.
HELD = {"seqbench", "torch"}


def source_of(target: str, distribution: str) -> str:
    """Ten hexadecimal digits of what stands behind ``"package.module:function"``: the Python source
    of its outermost package, which is not imported, and the versions of what its distribution
    requires, for an adapter's figures are those of the package that it wraps. ``""`` where nothing
    is to be read.
    """
    digest, found = hashlib.sha256(), False
    try:
        for name, content in _source(target.partition(":")[0].partition(".")[0]):
            digest.update(f"{name} {len(content)}\n".encode())
            digest.update(content)
            found = True
    except OSError:
        return ""
    for name in _required(distribution):
        digest.update(f"{name} {version_of(name)}\n".encode())
        found = True
    return digest.hexdigest()[:10] if found else ""


def _source(package: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each Python file. Raises OSError."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    files = [(path, path.relative_to(folder)) for folder in folders for path in _python(folder)]
    if not folders and spec.origin:
        files = [(Path(spec.origin), Path(package))]
    if len(files) <= MOST_FILES:
        yield from ((name.as_posix(), path.read_bytes()) for path, name in files)


def _required(distribution: str) -> list[str]:
    """What it requires, extras aside."""
    if distribution in HELD:
        return []
    try:
        required = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    names = [re.split(r"[^\w.-]", one, maxsplit=1)[0] for one in required if "extra ==" not in one]
    return sorted({name.lower() for name in names} - HELD)


def check_unchanged(choice: Choice) -> None:
    """Whether what is installed is what a run was planned with.

    Raises:
        PluginError: it was edited, or installed anew.
    """
    now = version_of(choice.distribution)
    edited = choice.source and choice.source != source_of(choice.target, choice.distribution)
    if edited or now not in ("", choice.version):
        what = f"{choice.distribution} {choice.version}"
        how = "edited, or what it requires installed anew," if now == choice.version else "replaced"
        raise PluginError(
            f"{choice.name!r}: {what} was {how} while the suite ran; --resume begins with it as it "
            "is now"
        )


def version_of(distribution: str) -> str:
    """The version that is installed now; ``""`` where none is."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _python(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))
