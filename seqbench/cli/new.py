"""``seqbench new model``, ``new dataset``, ``new metric``, ``new report`` and ``new suite``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqbench.cli.options import Place
from seqbench.errors import UsageError

if TYPE_CHECKING:
    from seqbench.plugins.scaffold.package import PackageKind

OUT = click.option(
    "--out",
    type=Place(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder to write to. Default: the current one.",
)


@click.group(short_help="Create a starter plugin package or a starter suite.")
def new() -> None:
    """Create a starter plugin package (code, tests, suite, CI) or a starter suite."""


@new.command("model")
@click.argument("name")
@OUT
def new_model(name: str, out: Path) -> None:
    """Write a package that offers the model NAME."""
    _new("model", name, out)


@new.command("dataset")
@click.argument("name")
@click.option("--unequal", is_flag=True, help="With sequences of unequal length.")
@OUT
def new_dataset(name: str, unequal: bool, out: Path) -> None:
    """Write a package that offers the dataset NAME."""
    _new("dataset", name, out, unequal=unequal)


@new.command("metric")
@click.argument("name")
@OUT
def new_metric(name: str, out: Path) -> None:
    """Write a package that offers the metric NAME."""
    _new("metric", name, out)


@new.command("report")
@click.argument("name")
@OUT
def new_report(name: str, out: Path) -> None:
    """Write a package that offers the report NAME."""
    _new("report", name, out)


@new.command("suite")
@click.argument("name")
@OUT
def new_suite(name: str, out: Path) -> None:
    """Write NAME.yaml, a commented suite to edit that runs as it is."""
    from seqbench.plugins.scaffold.suite import write_suite
    from seqbench.suite.shipped import shipped_names

    if name in shipped_names():
        raise UsageError(f"{name!r} is the name of a shipped suite: choose another name")
    path = write_suite(name, out)
    click.echo(f"  {path}\n\nnext: seqbench validate {path}\n      seqbench run {path}")


def _new(kind: PackageKind, name: str, out: Path, *, unequal: bool = False) -> None:
    from seqbench.plugins.discovery import load_plugins
    from seqbench.plugins.scaffold.package import write_package
    from seqbench.quantities import QUANTITIES
    from seqbench.types import FORMATS

    reserved = {"metric": tuple(QUANTITIES), "report": FORMATS}.get(kind, ())
    if name in reserved:
        raise UsageError(f"the {kind} name {name!r} is reserved by seqbench: choose another name")
    for offer in load_plugins().all_of(kind):
        if offer.spec.name.lower() == name.lower():
            raise UsageError(f"a {kind} {offer.spec.name!r} is already offered by {offer.origin}")
    folder, *files = write_package(kind, name, out, unequal=unequal)
    for path in files:
        click.echo(f"  {path}")
    click.echo(
        f"\nnext: cd {folder}\n"
        '      python -m pip install -e ".[test]"\n'
        f"      seqbench check --kind {kind} {name}\n"
        "      python -m pytest\n"
        "      seqbench run suite.yaml"
    )
