"""``seqbench show``: the tables and exports of a run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqbench.cli import complete
from seqbench.cli.options import OUT, Place, parameter_values
from seqbench.cli.terminal import console
from seqbench.errors import UnknownName, UsageError
from seqbench.suggest import did_you_mean, nearest, suggested
from seqbench.types import FORMATS

if TYPE_CHECKING:
    from rich.console import Console

    from seqbench.plugins.choice import Choice
    from seqbench.report.terminal.rows import Sort
    from seqbench.report.views.sheet import View
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
    help="table, json, markdown, csv, latex, for views html, or a report (`seqbench reports`).",
)
@click.option(
    "--svg",
    type=Place(path_type=Path, dir_okay=False),
    help="Write what the terminal would show as an SVG image instead.",
)
@click.option(
    "--param",
    "given",
    metavar="KEY=VALUE",
    multiple=True,
    help="Set a parameter of the report that --format names. Repeatable.",
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
@click.option(
    "--lengths", is_flag=True, help="Show figures by test set and by length of sequences instead."
)
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
    given: tuple[str, ...],
    explain: bool,
    every: bool,
    sort: Sort,
    memory: bool,
    lengths: bool,
    pairs: bool,
    confusion: str | None,
    out: Path,
) -> None:
    """Show the tables of RUN: a folder, its name, or a suite's latest. Default: the latest run."""
    from seqbench.report.run import Run
    from seqbench.store.find import find_run

    views = {"--memory": memory, "--lengths": lengths, "--pairs": pairs,
             "--confusion": confusion is not None}  # fmt: skip
    chosen = [name for name, on in views.items() if on]
    if svg is not None:
        _check_svg(svg)
    in_terminal = {"--explain": explain, "--all": every, "--sort": sort != "metric"}
    _check_options(chosen, form, svg, [name for name, on in in_terminal.items() if on])
    report = None if chosen or form in FORMATS else _report(form, given)
    if given and report is None:
        raise UsageError("--param sets a parameter of a report; name one with --format")
    document = Run.open(find_run(out, run)).document
    if svg:
        _save_svg(document, svg, chosen, confusion)
    elif chosen and form != "table":
        _export(_view(document, chosen[0], confusion), form)
    elif chosen:
        _drawing(document, chosen[0], confusion)(console())
    elif report is not None:
        from seqbench.report.render import render_report

        click.echo(render_report(report, document), nl=False)
    else:
        options = {"sort": sort, "every": every, "explain": explain}
        print_document(document, as_json=form == "json", **options)


def _check_options(
    chosen: Sequence[str], form: str, svg: Path | None, in_terminal: Sequence[str]
) -> None:
    """Check that at most one view is chosen, in a format that it has. Raises UsageError."""
    if in_terminal and (chosen or svg or form != "table"):
        raise UsageError(f"{in_terminal[0]} is for the tables in the terminal only")
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} cannot be combined: choose one view")
    if svg and form != "table":
        raise UsageError(f"--svg and --format {form} cannot be combined: choose one of them")
    if chosen and form != "table":
        from seqbench.report.views.export import RENDERERS

        if form not in RENDERERS:
            formats = ("table", *RENDERERS)
            message = f"--format {form} is not available for {chosen[0]}"
            raise UsageError(suggested(message, form, formats))


def _view(document: Document, option: str, model: str | None) -> View:
    """The view that an option names, as data. ``model``: that of ``--confusion``."""
    from seqbench.report.views.confusion import confusion_view
    from seqbench.report.views.lengths import lengths_view
    from seqbench.report.views.memory import memory_view
    from seqbench.report.views.pairs import pairs_view

    if model is not None:
        return confusion_view(document, model)
    views = {"--memory": memory_view, "--lengths": lengths_view, "--pairs": pairs_view}
    return views[option](document)


def _drawing(document: Document, option: str, model: str | None) -> Callable[[Console], None]:
    """The function that prints the view which an option names. ``model``: that of ``--confusion``.
    It raises UsageError if there is no such model.
    """
    from seqbench.report.terminal.confusion import print_confusion
    from seqbench.report.terminal.sheets import print_view

    if model is not None:
        return partial(print_confusion, document, model)
    return partial(print_view, _view(document, option, None))


def _export(view: View, form: str) -> None:
    """Print a view in a format. CSV has no place for the reason why there are no figures."""
    from seqbench.report.views.export import RENDERERS

    if form == "csv" and not view.sheets:
        click.echo("\n".join(view.notes), err=True)
    click.echo(RENDERERS[form](view), nl=False)


def _save_svg(document: Document, path: Path, chosen: Sequence[str], model: str | None) -> None:
    """Write a view, or the result tables, as a picture."""
    from seqbench.report.terminal.report import print_report
    from seqbench.report.terminal.svg import save_svg
    from seqbench.report.text import clean

    if chosen:
        title = clean(f"seqbench show {document['run']} {chosen[0]} {model or ''}")
        save_svg(path, _drawing(document, chosen[0], model), title=title)
    else:
        title = clean(f"seqbench run {document.get('file') or document['suite']}")
        save_svg(path, partial(print_report, document), title=title)


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


def _report(form: str, given: Sequence[str]) -> Choice:
    """The report named ``form``, with the parameters of ``--param``. Raises UsageError."""
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
    params = parameters.checked(form, parameter_values(given), offer.spec.parameters)
    return Choice.of(offer, params)
