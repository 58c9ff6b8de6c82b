"""``seqbench show``: the tables and exports of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqbench.cli import complete
from seqbench.cli.options import OUT, Place
from seqbench.cli.terminal import console
from seqbench.errors import UnknownName, UsageError
from seqbench.suggest import did_you_mean, nearest
from seqbench.types import FORMATS

if TYPE_CHECKING:
    from seqbench.plugins.choice import Choice
    from seqbench.summary.schema import Document


@click.command()
@click.argument("run", required=False, shell_complete=complete.run)
@click.option(
    "--format",
    "form",
    metavar="NAME",
    default="table",
    show_default=True,
    shell_complete=complete.report,
    help="table, json, markdown, csv, latex, or another report (see `seqbench reports`).",
)
@click.option(
    "--svg",
    type=Place(path_type=Path, dir_okay=False),
    help="Write the tables as an SVG image instead.",
)
@click.option("--memory", is_flag=True, help="Show the memory breakdown instead.")
@click.option("--pairs", is_flag=True, help="Show all pairwise comparisons instead.")
@click.option(
    "--confusion",
    metavar="MODEL",
    help="Show the confusion matrix of MODEL (name or label) instead.",
)
@OUT
def show(
    *,
    run: str | None,
    form: str,
    svg: Path | None,
    memory: bool,
    pairs: bool,
    confusion: str | None,
    out: Path,
) -> None:
    """Show the tables of RUN: a folder, its name, or a suite's latest. Default: the latest run."""
    from seqbench.store.find import find_run
    from seqbench.summary.run import Run

    views = {
        f"--format {form}": form != "table", "--svg": svg is not None, "--memory": memory,
        "--pairs": pairs, "--confusion": confusion is not None,
    }  # fmt: skip
    chosen = [name for name, given in views.items() if given]
    if len(chosen) > 1:
        raise UsageError(
            f"{' and '.join(chosen)} cannot be combined: choose one view; "
            "--format json has everything"
        )
    if svg is not None:
        _check_svg(svg)
    report = None if form in FORMATS else _report(form)
    document = Run.open(find_run(out, run)).document
    if svg:
        from seqbench.report.terminal.svg import save_svg

        save_svg(document, svg)
    elif memory:
        from seqbench.report.terminal.memory import print_memory

        print_memory(document, console())
    elif pairs:
        from seqbench.report.terminal.pairs import print_pairs

        print_pairs(document, console())
    elif confusion is not None:
        from seqbench.report.terminal.confusion import print_confusion

        print_confusion(document, confusion, console())
    elif report is not None:
        from seqbench.report.render import render_report

        click.echo(render_report(report, document), nl=False)
    else:
        print_document(document, as_json=form == "json")


def print_document(document: Document, *, as_json: bool, resume: bool = True) -> None:
    """Print a run's tables, or its document as JSON.

    Args:
        resume: whether the tables show how to resume a run that did not finish.
    """
    if as_json:
        from seqbench.report.exports.json import write_json

        write_json(document, sys.stdout)
        return
    from seqbench.report.terminal.report import print_report

    print_report(document, console(), resume=resume)


def _check_svg(path: Path) -> None:
    """Raise UsageError if the file of ``--svg`` has another format, or no folder."""
    if path.suffix.lower() != ".svg":
        raise UsageError(f"--svg {path}: writes SVG only; name a file that ends in .svg")
    if not path.parent.is_dir():
        raise UsageError(f"--svg {path}: the folder {path.parent} does not exist")


def _report(form: str) -> Choice:
    """The report named ``form``, with its default parameters. Raises UsageError."""
    from seqbench.plugins import parameters
    from seqbench.plugins.choice import Choice
    from seqbench.plugins.discovery import load_plugins

    try:
        offer = load_plugins().look_up("report", form)
    except UnknownName as error:
        near = nearest(form, FORMATS)
        named = f"unknown report {form!r}; {did_you_mean(near)}"
        more = named if near else f"{error}; built in: {', '.join(FORMATS)}"
        raise UsageError(f"--format {form}: {more}") from error
    return Choice.of(offer, parameters.completed({}, offer.spec.parameters))
