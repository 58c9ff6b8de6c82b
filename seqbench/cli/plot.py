"""``seqbench plot``: one chart as a figure for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqbench.cli import complete
from seqbench.cli.options import OUT, Place
from seqbench.errors import UsageError
from seqbench.report.charts.kinds import KINDS
from seqbench.suggest import suggested

if TYPE_CHECKING:
    from seqbench.report.charts.figure import Width


@click.command(short_help="Draw a chart of RUN for a paper.")
@click.argument("words", metavar="[RUN] KIND", nargs=-1, required=True, shell_complete=complete.run)
@click.option(
    "--output",
    "-o",
    type=Place(path_type=Path, dir_okay=False),
    help="The file to write: .svg, .png or .pdf. Default: KIND.svg.",
)
@click.option(
    "--width",
    type=click.Choice(["single", "double"]),
    default="single",
    show_default=True,
    help="Of one column of a two-column paper (240 points), or of both (500 points).",
)
@click.option("--dataset", metavar="NAME", help="The dataset to draw, in a run with several.")
@click.option(
    "--option",
    "options",
    metavar="NAME=VALUE",
    multiple=True,
    help="What to show, such as x=macs; an unknown value lists those available. Repeatable.",
)
@click.option("--title/--no-title", default=True, help="Whether to name dataset and settings.")
@OUT
def plot(
    *,
    words: tuple[str, ...],
    output: Path | None,
    width: Width,
    dataset: str | None,
    options: tuple[str, ...],
    title: bool,
    out: Path,
) -> None:
    """Draw a chart of RUN (default: the latest run) as SVG, PNG or PDF.

    \b
    pareto       one figure against another (--option x=macs, y=memory_inference, …)
    accuracy     the metric: each seed, mean and interval
    curves       learning curves (--option x=steps, y=train_loss)
    latency      the distribution of calls; drift: latency over the rounds
    length       the metric, latency, memory and MACs against the length
    memory       what memory goes into (--option mode=training)
    pairs        every pair of cases; pair-seeds, pair-rounds: what one pair rests on
    confusion    the confusion matrix of a case (--option case=gru)
    published    published figures beside measured ones

    Needs the extra `report`: pip install "seqbench[report]".
    """
    from seqbench.plugins.extras import REPORT, require
    from seqbench.report.charts.figure import SUFFIXES, figure_spec, write_figure

    named, kind = _words(words)
    target = output or Path(f"{kind}.svg")
    if target.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--output {target}: name a file that ends in {', '.join(SUFFIXES)}")
    if not target.parent.is_dir():
        raise UsageError(f"--output {target}: the folder {target.parent} does not exist")
    chosen = dict(_option(text) for text in options)
    require("a chart", "report", REPORT)
    from seqbench.report.charts.find import find_chart
    from seqbench.report.run import Run
    from seqbench.store.find import find_run
    from seqbench.store.json_files import write_bytes

    document = Run.open(find_run(out, named)).document
    chart, group = find_chart(document, kind, dataset)
    spec = figure_spec(chart, group, options=chosen, width=width, title=title)
    write_bytes(target, write_figure(spec, target))
    click.echo(f"{kind}: {target}")


def _words(words: Sequence[str]) -> tuple[str | None, str]:
    """The run, if one is named, and the kind. Raises UsageError."""
    *runs, kind = words
    if kind not in KINDS:
        if len(words) == 2 and words[0] in KINDS:
            raise UsageError(f"the run comes first: seqbench plot {words[1]} {words[0]}")
        raise UsageError(suggested(f"unknown kind of chart {kind!r}", kind, KINDS))
    if len(runs) > 1:
        raise UsageError(f"one run at a time, not {len(runs)}")
    return (runs[0] if runs else None), kind


def _option(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name or not value:
        raise UsageError(f"--option {text}: write it as NAME=VALUE")
    return name, value
