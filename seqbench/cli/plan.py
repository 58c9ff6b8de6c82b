"""What `run --dry-run` prints: the plan of a suite, or what resuming a run would do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqbench.cli.terminal import console

if TYPE_CHECKING:
    from seqbench.plan.expand import Plan
    from seqbench.runner.preview import Intentions
    from seqbench.runner.resume.earlier import Again
    from seqbench.suite.selection import Selection


def previewed(suite: Path, selection: Selection, again: Again) -> Intentions:
    from seqbench.cli.progress import Display
    from seqbench.runner.preview import preview

    with Display(console(stderr=True)) as display:
        return preview(suite, selection, again, display.progress())


def print_preview(intended: Intentions) -> None:
    """Which trials will run and which will not, each with the reason; and what will be measured."""
    from rich.cells import cell_len

    from seqbench.report.text import clean
    from seqbench.runner.context import count

    click.echo(f"{intended.resumed}\n")
    found = intended.decisions
    titles = [clean(f"{one.trial.case.name}, seed {one.trial.seed}") for one in found]
    width = max(map(cell_len, titles), default=0)
    # Plain lines: of ten thousand rows, a table would take longer to lay out than they to decide.
    for one, title in zip(found, titles, strict=True):
        what = "keep" if one.record is not None else "run "
        click.echo(f"{title}{' ' * (width - cell_len(title))}  {what}  {clean(one.why)}")
    runs = sum(one.record is None for one in found)
    click.echo(f"\n{runs} of {count(found, 'trial')} would run")
    click.echo(f"cost and memory: {len(intended.memory)} of {intended.of_memory} would be measured")
    if intended.of_scores:
        click.echo(f"metrics: {intended.scores} of {intended.of_scores} would be asked")
    if intended.of_latency:
        _print_contests(intended)
    if runs and any(one.why for one in (*intended.memory, *intended.latency)):
        click.echo("(what is trained again and comes out as it was is not measured again)")
    click.echo("nothing was run")


def _print_contests(intended: Intentions) -> None:
    from seqbench.report.text import clean

    terminal = console()
    for one in intended.latency:
        why = f" ({one.why})" * bool(one.why)
        line = clean(f"latency: {one.job.title} would be timed{why}")
        terminal.print(line, markup=False, soft_wrap=not terminal.is_terminal)
    if not intended.latency:
        click.echo("latency: nothing would be timed")


def planned(suite: Path, selection: Selection) -> Plan:
    from seqbench.plugins.discovery import load_plugins
    from seqbench.runner.start import plan_suite

    return plan_suite(suite, selection, load_plugins())


def plan_size(plan: Plan) -> str:
    cases, trials = len(plan.cases), len(plan.trials)
    return f"{cases} case{'s' * (cases != 1)}, {trials} trial{'s' * (trials != 1)}"


def print_plan(plan: Plan) -> None:
    from rich.table import Table
    from rich.text import Text

    from seqbench.cli.estimate import latency_words, least_seconds
    from seqbench.report.notes import training_words
    from seqbench.report.numbers import duration

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in ("case", "dataset", "device", "training", "seeds"):
        table.add_column(header, overflow="fold")
    for case in plan.cases:
        seeds = ", ".join(str(trial.seed) for trial in plan.trials if trial.case is case)
        training = training_words(case.train)
        cells = (case.label, case.dataset_label, case.device, training, seeds)
        table.add_row(*(Text(cell) for cell in cells))
    terminal = console()
    terminal.print(table)
    measure = plan.suite.measure
    if measure.latency is not None:
        terminal.print(Text(f"latency: {latency_words(measure.latency)}"))
        seconds = duration(least_seconds(measure.latency, len(plan.cases)))
        more = ", and what compiling takes" * (set(measure.latency.runtimes) != {"eager"})
        terminal.print(Text(f"  about {seconds} for all cases unless precise before{more}"))
    if measure.memory is not None:
        terminal.print(Text(f"memory: batch {measure.memory.batch_size}"))
    if plan.metrics:
        terminal.print(Text(f"metrics: {', '.join(metric.label for metric in plan.metrics)}"))
    if plan.reports:
        terminal.print(Text(f"reports: {', '.join(report.file for report in plan.reports)}"))
    if plan.suite.target:
        terminal.print(Text(f"target: {plan.suite.target}"))
    limits = plan.suite.limits
    memory = (
        f"{limits.memory / 2**20:,.0f} MiB" if limits.memory else "nine tenths of the machine's"
    )
    retries = f"{limits.retries} more attempt{'s' * (limits.retries != 1)} after a signal"
    terminal.print(Text(f"limits of a trial: {duration(limits.time)}, memory {memory}, {retries}"))
    terminal.print(Text(f"\n{plan_size(plan)}; nothing was run"))
