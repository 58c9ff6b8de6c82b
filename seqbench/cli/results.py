"""``seqbench show`` and ``seqbench list``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqbench.cli import complete
from seqbench.cli.run import OUT
from seqbench.cli.terminal import console
from seqbench.errors import UnknownName, UsageError
from seqbench.types import FORMATS

if TYPE_CHECKING:
    from seqbench.records import Choice


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
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the tables as a picture of a terminal instead.",
)
@click.option("--memory", is_flag=True, help="Show what memory goes into instead.")
@click.option("--pairs", is_flag=True, help="Show every comparison of two cases instead.")
@click.option(
    "--confusion",
    metavar="MODEL",
    help="Show which classes MODEL (name or label) takes for which instead.",
)
@OUT
def show(
    run: str | None,
    form: str,
    svg: Path | None,
    memory: bool,
    pairs: bool,
    confusion: str | None,
    out: Path,
) -> None:
    """Show the tables of RUN: a folder, its name, or a suite's latest. Default: the latest run."""
    from seqbench.api import Run
    from seqbench.runs import find_run

    asked = {
        f"--format {form}": form != "table", "--svg": svg is not None, "--memory": memory,
        "--pairs": pairs, "--confusion": confusion is not None,
    }  # fmt: skip
    chosen = [name for name, given in asked.items() if given]
    if len(chosen) > 1:
        raise UsageError(
            f"{' and '.join(chosen)} do not go together: each shows something else; "
            "--format json holds everything"
        )
    report = None if form in FORMATS else _report(form)
    document = Run.open(find_run(out, run)).document
    if svg:
        from seqbench.report.terminal import save_svg

        save_svg(document, svg)
    elif memory:
        from seqbench.report.memory import print_memory

        print_memory(document, console())
    elif pairs:
        from seqbench.report.pair_tables import print_pairs

        print_pairs(document, console())
    elif confusion is not None:
        from seqbench.report.confusion import print_confusion

        print_confusion(document, confusion, console())
    elif form == "table":
        from seqbench.report.terminal import print_report

        print_report(document, console())
    elif form == "json":
        from seqbench.report.export import write_json

        write_json(document, sys.stdout)
    elif report is not None:
        from seqbench.report.rendering import render

        click.echo(render(report, document), nl=False)


def _report(form: str) -> Choice:
    """The report called so, with its defaults. Raises UnknownName."""
    from seqbench import parameters, plugins
    from seqbench.records import Choice

    try:
        offer = plugins.load().look_up("report", form)
    except UnknownName as error:
        near = parameters.nearest(form, FORMATS)
        more = near if near.startswith("did") else f"{error}; {', '.join(FORMATS)} need no plugin"
        raise UsageError(f"--format {form}: {more}") from error
    return Choice.of(offer, parameters.completed({}, offer.spec.parameters))


@click.command("list")
@OUT
def list_runs(out: Path) -> None:
    """List the runs that are kept, the latest last."""
    from rich.table import Table
    from rich.text import Text

    from seqbench.errors import StoreError
    from seqbench.runs import find_runs
    from seqbench.store import RunFolder

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("run", "status", "trials", "started (UTC)"):
        table.add_column(
            header, overflow="fold", no_wrap=header == "run",
            justify="right" if header == "trials" else "left",
        )  # fmt: skip
    unreadable = []
    runs = find_runs(out)
    for path in runs:
        try:
            folder = RunFolder.open(path)
            state, planned = folder.state(), {trial["id"] for trial in folder.plan()["trials"]}
            ok = sum(one.status == "ok" for one in folder.trials() if one.id in planned)
            lacking = sum(m.status != "ok" for case in folder.cases() for m in case.measurements)
            lacking += sum(
                score["status"] not in ("ok", "skipped")
                for trial in folder.trials()
                for score in trial.scores.values()
            )
            trials = f"{ok} of {len(planned)} ok" + f", {lacking} not measured" * bool(lacking)
            cells = (state["status"], trials, state.get("started", "")[:16])
        except (StoreError, KeyError) as error:
            cells = ("unreadable", "", "")
            unreadable.append(f"{path.parent.name}/{path.name}: {error}")
        table.add_row(*(Text(cell) for cell in (f"{path.parent.name}/{path.name}", *cells)))
    if runs:
        console().print(table)
        for line in unreadable:
            click.echo(line)
    else:
        click.echo(f"no runs under {out}/ yet: `seqbench run SUITE` makes one")
