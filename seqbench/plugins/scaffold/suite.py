"""Writes a starter suite from the template beside this file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template

from seqbench.errors import UsageError
from seqbench.types import NAME

#: Suffix of the file; a name may include it.
SUFFIX = ".yaml"


def write_suite(name: str, where: Path) -> Path:
    """Write ``<name>.yaml``, a commented suite that runs without changes.

    Args:
        where: the folder for the file; created if missing.

    Raises:
        UsageError: the name is invalid, or the file already exists.
    """
    name = name.removesuffix(SUFFIX)
    if not NAME.fullmatch(name):
        raise UsageError(
            f"invalid suite name {name!r}: use at most 64 letters, digits, '_', '.' and '-', "
            "starting with a letter or digit"
        )
    path = where / f"{name}{SUFFIX}"
    template = files("seqbench.plugins.scaffold").joinpath("suite.yaml.txt").read_text("utf-8")
    try:
        where.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(Template(template).substitute(name=name, file=path))
    except FileExistsError:
        raise UsageError(
            f"{path} already exists; not overwritten: choose another name or --out"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return path
