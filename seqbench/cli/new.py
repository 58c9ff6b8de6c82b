"""``seqbench new model`` and ``seqbench new dataset``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from seqbench.errors import UsageError

OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder that gets the package's own. Default: this one.",
)


@click.group()
def new() -> None:
    """Write a package to begin with: plugin, tests, suite, CI."""


@new.command("model")
@click.argument("name")
@OUT
def new_model(name: str, out: Path) -> None:
    """Write a package that offers the model NAME."""
    _new("model", name, out)


@new.command("dataset")
@click.argument("name")
@OUT
def new_dataset(name: str, out: Path) -> None:
    """Write a package that offers the dataset NAME."""
    _new("dataset", name, out)


def _new(kind: Literal["model", "dataset"], name: str, out: Path) -> None:
    from seqbench.plugins.discovery import load_plugins
    from seqbench.plugins.scaffold.package import write_package

    registry = load_plugins()
    taken = registry.models if kind == "model" else registry.datasets
    for offer in taken:
        if offer.spec.name.lower() == name.lower():
            raise UsageError(f"a {kind} {offer.spec.name!r} is offered by {offer.source} already")
    folder, *files = write_package(kind, name, out)
    for path in files:
        click.echo(f"  {path}")
    click.echo(
        f"\nnext: cd {folder}\n"
        '      python -m pip install -e ".[test]"\n'
        f"      seqbench check {name}\n"
        "      python -m pytest\n"
        "      seqbench run suite.yaml"
    )
