"""``seqbench report``: the page of a run, or of several."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from seqbench.cli import complete
from seqbench.cli.options import OUT, Place
from seqbench.errors import UsageError

#: The default file, in the folder of a single run.
FILE = "reports/report.html"


@click.command(short_help="Write a page with the tables and charts of RUN.")
@click.argument("runs", metavar="[RUN]...", nargs=-1, shell_complete=complete.run)
@click.option(
    "--output",
    "-o",
    type=Place(path_type=Path, dir_okay=False),
    help="The file to write. Default: reports/report.html in the folder of the run; with several "
    "runs, report.html here.",
)
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@OUT
def report(runs: tuple[str, ...], output: Path | None, show: bool, out: Path) -> None:
    """Write one HTML file with the verdict, the tables and the charts of each RUN.

    The page loads nothing and works without a network. A RUN is a folder, a name, an id, or a suite
    (its latest run); without any, it is the latest run. Several runs share the tables and charts of
    each dataset; their cases are not compared with each other.

    Needs the extra `report`: pip install "seqbench[report]".
    """
    from seqbench.plugins.extras import REPORT, require
    from seqbench.report.exports.page import page_of_runs
    from seqbench.report.run import Run
    from seqbench.store.files import make_folder
    from seqbench.store.find import find_run
    from seqbench.store.json_files import write_text

    require("the page", "report", REPORT)
    folders = [find_run(out, name) for name in runs] or [find_run(out, None)]
    twice = [str(path) for n, path in enumerate(folders) if path in folders[:n]]
    if twice:
        raise UsageError(f"{twice[0]} is given twice")
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"--output {output}: the folder {output.parent} does not exist")
    text = page_of_runs([Run.open(folder).document for folder in folders])
    if output is None:
        output = Path("report.html") if len(folders) > 1 else folders[0] / FILE
        make_folder(output.parent, exist_ok=True)
    write_text(output, text)
    click.echo(f"page: {output}")
    if show and not _has_display():
        click.echo(f"no display here; open {output.absolute().as_uri()} in a browser", err=True)
    elif show:
        click.launch(output.absolute().as_uri())


def _has_display() -> bool:
    """Whether a browser can open a window: on Linux, only with a display server."""
    variables = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform != "linux" or any(os.environ.get(name) for name in variables)
