"""``seqbench show``: the tables and exports of a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqbench.cli import complete
from seqbench.cli.options import OUT, Place
from seqbench.cli.terminal import console
from seqbench.errors import UnknownName, UsageError
from seqbench.suggest import did_you_mean, nearest
from seqbench.types import FORMATS

if TYPE_CHECKING:
    from seqbench.plugins.choice import Choice
    from seqbench.report.terminal.rows import Sort
    from seqbench.report.views.sheet import View
    from seqbench.summary.schema import Document


#: The formats of the views besides the result tables.
RENDERED = ("json", "markdown", "csv", "latex")


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
@click.option("--explain", is_flag=True, help="Add what each figure and sentence rests on.")
@click.option("--all", "every", is_flag=True, help="Show all rows and columns.")
@click.option(
    "--sort",
    type=click.Choice(["metric", "suite"]),
    default="metric",
    show_default=True,
    help="Rows by the metric, best first, or in the order of the suite.",
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
    explain: bool,
    every: bool,
    sort: Sort,
    memory: bool,
    pairs: bool,
    confusion: str | None,
    out: Path,
) -> None:
    """Show the tables of RUN: a folder, its name, or a suite's latest. Default: the latest run."""
    from seqbench.report.run import Run
    from seqbench.store.find import find_run

    views = {"--memory": memory, "--pairs": pairs, "--confusion": confusion is not None}
    chosen = [name for name, given in views.items() if given]
    if svg is not None:
        _check_svg(svg)
    report = None if form in FORMATS else _report(form)
    in_terminal = {"--explain": explain, "--all": every, "--sort": sort != "metric"}
    _check_options(chosen, form, svg, [name for name, given in in_terminal.items() if given])
    document = Run.open(find_run(out, run)).document
    if svg:
        from seqbench.report.terminal.svg import save_svg

        save_svg(document, svg)
    elif chosen and form != "table":
        from seqbench.report.views.export import RENDERERS

        click.echo(RENDERERS[form](_view(document, chosen[0], confusion)), nl=False)
    elif confusion is not None:
        from seqbench.report.terminal.confusion import print_confusion

        print_confusion(document, confusion, console())
    elif chosen:
        from seqbench.report.terminal.sheets import print_view

        print_view(_view(document, chosen[0]), console())
    elif report is not None:
        from seqbench.report.render import render_report

        click.echo(render_report(report, document), nl=False)
    else:
        options = {"sort": sort, "every": every, "explain": explain}
        print_document(document, as_json=form == "json", **options)


def _check_options(
    chosen: Sequence[str], form: str, svg: Path | None, in_terminal: Sequence[str]
) -> None:
    """Check that one view is chosen, in a format that it has. Raises UsageError."""
    drawn = {"--svg": svg is not None, f"--format {form}": svg is not None and form != "table"}
    options = [*chosen, *(name for name, given in drawn.items() if given)]
    if in_terminal and (chosen or svg or form != "table"):
        raise UsageError(f"{in_terminal[0]} is for the tables in the terminal only")
    if len(chosen) > 1 or (svg and len(options) > 1):
        raise UsageError(f"{' and '.join(options)} cannot be combined: choose one view")
    if chosen and form not in ("table", *RENDERED):
        formats = ", ".join(("table", *RENDERED))
        raise UsageError(
            f"--format {form} renders whole runs, not {chosen[0]}; available: {formats}"
        )


def _view(document: Document, option: str, model: str | None = None) -> View:
    """The view that an option names, as data. ``model``: that of ``--confusion``."""
    from seqbench.report.views.confusion import confusion_view
    from seqbench.report.views.memory import memory_view
    from seqbench.report.views.pairs import pairs_view

    if model is not None:
        return confusion_view(document, model)
    return memory_view(document) if option == "--memory" else pairs_view(document)


def print_document(document: Document, *, as_json: bool, **options: Any) -> None:
    """Print a run's verdict and tables, or its document as JSON.

    Args:
        options: of the tables (:class:`seqbench.report.terminal.report.Options`).
    """
    if as_json:
        from seqbench.report.exports.json import write_json

        write_json(document, sys.stdout)
        return
    from seqbench.report.terminal.report import Options, print_report

    print_report(document, console(), Options(**options))


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
