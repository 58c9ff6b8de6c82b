"""Writes an export to where the user wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqbench.errors import StoreError, UsageError
from seqbench.plugins.loading import import_object
from seqbench.report.interchange.registry import Format
from seqbench.report.interchange.source import Exported, Source
from seqbench.store.files import replace_file


def check_place(form: Format, output: Path | None, run: Path) -> None:
    """Check the place before anything is read.

    Args:
        output: None is the standard output.
        run: the run's folder, in which nothing is written.

    Raises:
        UsageError: the place does not fit the format, or its folder does not exist.
    """
    if output is None:
        if form.kind == "text":
            return
        raise UsageError(f"--format {form.name} writes a {form.kind}: name it with --output PATH")
    where = f"--output {output}"
    if output.resolve().is_relative_to(run.resolve()):
        raise UsageError(f"{where}: is inside the run; name a place outside")
    if form.kind == "folder":
        if output.exists() and not output.is_dir():
            raise UsageError(f"{where}: is not a folder; --format {form.name} writes a folder")
    elif output.is_dir():
        raise UsageError(f"{where}: is a folder; name a file")
    if not output.parent.is_dir():
        raise UsageError(f"{where}: the folder {output.parent} does not exist")


def make_export(
    form: Format, source: Source, output: Path | None, **options: Any
) -> tuple[str, list[str]]:
    """Export a run.

    Args:
        output: where to write; None returns the text instead.
        options: of the format.

    Returns:
        the text, or ``""`` if it was written; and lines about what was left out.

    Raises:
        StoreError: there is nothing to export, or it cannot be written. UsageError: a package that
            the format needs is broken.
    """
    function = import_object(form.function)
    try:
        if form.kind != "text":
            return "", function(source, output, **options)
        exported: Exported = function(source, **options)
        if output is None:
            return exported.text, list(exported.notes)
        _write(output, exported.text)
        return "", list(exported.notes)
    except ImportError as error:
        raise UsageError(
            f"--format {form.name}: {' '.join(str(error).split())}; "
            f'pip install --upgrade "seqbench[{form.extra}]"'
        ) from error
    except OSError as error:
        raise StoreError(f"cannot write {output}: {error.strerror or error}") from error


def _write(path: Path, text: str) -> None:
    """Write a text, replacing an earlier file. A pipe or a device is written to as it is."""
    data = text.encode("utf-8", "backslashreplace")
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    with replace_file(path) as partial:
        partial.write_bytes(data)
