"""``seqbench export``: a run in the format of another tool."""

from __future__ import annotations

from pathlib import Path

import click

from seqbench.cli import complete
from seqbench.cli.options import OUT, Place
from seqbench.errors import UsageError
from seqbench.report.interchange.registry import FORMATS, TABLES

STDOUT = Path("-")


@click.command(short_help="Export a run to the format of another tool.")
@click.argument("run", required=False, shell_complete=complete.run)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    required=True,
    help="Described in docs/exports.md.",
)
@click.option(
    "--output",
    "-o",
    type=Place(path_type=Path, allow_dash=True),
    help="File to write, replaced if it exists; for mlflow and tensorboard a folder, added to. "
    "Default for text formats: -, the standard output.",
)
@click.option(
    "--table",
    type=click.Choice(TABLES),
    default=TABLES[0],
    show_default=True,
    help="For csv and parquet: one row per case, per trial, per epoch of each trial, or per test "
    "set or range of length of each trial.",
)
@OUT
def export(*, run: str | None, form: str, output: Path | None, table: str, out: Path) -> None:
    """Export RUN to the format of another tool, or as tables.

    RUN is a folder, its name, or a suite's latest run. Default: the latest run. What is left out
    is reported on stderr.
    """
    from seqbench.plugins.extras import require
    from seqbench.report.interchange.output import check_place, make_export
    from seqbench.report.interchange.source import Source
    from seqbench.report.text import clean
    from seqbench.store.find import find_run

    chosen = FORMATS[form]
    if table != TABLES[0] and not chosen.tables:
        formats = ", ".join(each.name for each in FORMATS.values() if each.tables)
        raise UsageError(f"--table is for these formats only: {formats}")
    require(f"--format {form}", chosen.extra, chosen.modules)
    path = find_run(out, run)
    place = None if output == STDOUT else output
    check_place(chosen, place, path)
    options = {"table": table} if chosen.tables else {}
    text, notes = make_export(chosen, Source.open(path), place, **options)
    for note in notes:
        click.secho("note: ", bold=True, nl=False, err=True)
        click.echo(clean(note, 1000), err=True)
    if place is None:
        click.echo(text, nl=False)
        return
    hint = f"; read it with: {chosen.hint.format(path=clean(place))}" if chosen.hint else ""
    click.echo(f"wrote {clean(place)}{hint}")
