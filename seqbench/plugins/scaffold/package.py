"""Writes a starter package from the templates beside this file."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import Literal

from seqbench.errors import UsageError
from seqbench.types import NAME

PackageKind = Literal["model", "dataset", "metric", "report"]

#: The path of each template's result; ``{module}`` is the package's module.
PLACES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
    "suite.yaml": "suite.yaml",
    "module__init__.py": "{module}/__init__.py",
    "module_layer.py": "{module}/layer.py",
    "module_data.py": "{module}/data.py",
    "module_metric.py": "{module}/metric.py",
    "module_report.py": "{module}/report.py",
    "tests_test_module.py": "tests/test_{module}.py",
    "github_workflows_ci.yml": ".github/workflows/ci.yml",
}


def write_package(
    kind: PackageKind, name: str, where: Path, *, unequal: bool = False
) -> list[Path]:
    """Write a complete package that offers a model, dataset, metric or report ``name``.

    Args:
        where: the folder to create the package's folder ``seqbench-<name>`` in.
        unequal: of a dataset: whether its sequences are of unequal length.

    Returns:
        The package's folder and its files.

    Raises:
        UsageError: the name is invalid, or the folder already exists.
    """
    words = _words(name)
    if find_spec(words["module"]) is not None:
        raise UsageError(
            f"a package {words['module']} is already installed: choose another name than {name!r}"
        )
    folder = where / words["distribution"]
    # What differs for unequal lengths replaces the templates of the kind.
    templates = {**_templates(kind), **(_templates(f"{kind}_unequal") if unequal else {})}
    texts = {PLACES[place].format(**words): text for place, text in templates.items()}
    try:
        folder.mkdir(parents=True)
        for place, text in texts.items():
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(words), encoding="utf-8")
    except FileExistsError:
        raise UsageError(
            f"{folder} already exists; not overwritten: choose another name or --out"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    return [folder, *(folder / place for place in texts)]


def _templates(folder: str) -> dict[str, str]:
    """The text of each template in a folder beside this file, by its name."""
    return {
        template.name.removesuffix(".txt"): template.read_text(encoding="utf-8")
        for template in files("seqbench.plugins.scaffold").joinpath(folder).iterdir()
        if template.name.endswith(".txt")
    }


def _words(name: str) -> dict[str, str]:
    """The values of the placeholders. Raises UsageError."""
    identifier = re.sub(r"\W", "_", name).lower()
    class_name = "".join(part.capitalize() for part in identifier.split("_") if part)
    if not NAME.fullmatch(name) or not name[0].isalpha() or iskeyword(class_name):
        raise UsageError(
            f"invalid name {name!r}: use at most 64 letters, digits, '_', '.' and '-', starting "
            "with a letter, and no keyword of Python"
        )
    module = f"seqbench_{identifier}"
    return {
        "name": name,
        "identifier": identifier,
        "module": module,
        "distribution": module.replace("_", "-").rstrip("-"),
        "class_name": class_name,
        "suite": re.sub(r"[^\w-]", "-", name),
    }
