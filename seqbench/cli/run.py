"""``seqbench run``, ``validate`` and ``schema``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqbench.cli import complete
from seqbench.cli.terminal import console
from seqbench.errors import StoreError, UsageError

if TYPE_CHECKING:
    from seqbench.api import Again, Intentions
    from seqbench.plan import Plan
    from seqbench.selection import Selection

#: Stands for the latest run of the suite.
LATEST = ""

SUITE = click.argument("suite", type=click.Path(path_type=Path, exists=True, dir_okay=False))
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Folder that keeps the runs.",
)
DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    envvar="SEQBENCH_DATA",
    show_envvar=True,
    help="Folder where datasets already lie.",
)


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that change what a suite asks for."""
    options = [
        click.option(
            "--set",
            "overrides",
            metavar="KEY=VALUE",
            multiple=True,
            help="Change a setting, as train.epochs=2. May be given again.",
        ),
        click.option(
            "--model",
            "models",
            metavar="M",
            multiple=True,
            shell_complete=complete.model,
            help="Only this model (name or label). May be given again.",
        ),
        click.option(
            "--dataset",
            "datasets",
            metavar="D",
            multiple=True,
            shell_complete=complete.dataset,
            help="Only this dataset. May be given again.",
        ),
        click.option(
            "--device",
            "devices",
            metavar="DEV",
            multiple=True,
            help="cpu, cuda, cuda:1, mps or auto, instead of the suite's. May be given again.",
        ),
        click.option(
            "--seeds",
            type=click.IntRange(min=1),
            metavar="N",
            help="Seeds 0 to N-1, instead of the suite's.",
        ),
        click.option("--yes", is_flag=True, help="Plan more than 1,000 trials."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _selection(
    overrides: tuple[str, ...],
    models: tuple[str, ...],
    datasets: tuple[str, ...],
    devices: tuple[str, ...],
    seeds: int | None,
    yes: bool,
) -> Selection:
    from seqbench.selection import Selection

    return Selection(overrides, models, datasets, devices, seeds, allow_many=yes)


@click.command()
@SUITE
@selection_options
@OUT
@DATA_DIR
@click.option(
    "--resume",
    metavar="[RUN]",
    is_flag=False,
    flag_value=LATEST,
    shell_complete=complete.run,
    help="Go on with a run: do only what is missing. Default: the suite's latest.",
)
@click.option(
    "--retry-failed", is_flag=True, help="With --resume: do again what did not end well, too."
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def run(
    suite: Path,
    out: Path,
    data_dir: Path | None,
    resume: str | None,
    retry_failed: bool,
    dry_run: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Run SUITE: train every trial, measure every case, show the tables.

    Exit code: 0 all fine, 1 some trial did not end ok, 2 invalid suite or usage, 130 interrupted.
    """
    from seqbench import api

    selection = _selection(**chosen)
    if retry_failed and resume is None:
        raise UsageError("--retry-failed goes with --resume")
    again = _again(suite, selection, out, resume, retry_failed)
    if dry_run:
        if again is not None:
            intended = _intentions(suite, selection, again)
            if as_json:
                click.echo(json.dumps(intended.to_dict(), indent=1))
            else:
                _print_intentions(intended)
        elif as_json:
            click.echo(json.dumps(_plan(suite, selection).to_dict(), indent=1))
        else:
            _print_plan(_plan(suite, selection))
        return
    from seqbench.cli.progress import Display
    from seqbench.store import RunFolder

    folders: list[RunFolder] = []
    try:
        with Display(console(stderr=True)) as display:
            result = api.start(
                suite,
                selection,
                out=out,
                data_dir=data_dir,
                progress=display.progress(),
                on_folder=folders.append,
                on_resume=display.resumed,
                again=again,
            )
    except KeyboardInterrupt:
        if folders:
            _report(api.Run.open(folders[0].path).document, as_json)
            click.echo(f"to go on: {_command(folders[0].path)}", err=True)
        raise
    except StoreError as error:
        if folders and folders[0].path.is_dir():
            error.hint = f"to go on: {_command(folders[0].path)}"
        raise
    _report(result.document, as_json)
    if not result.ok:
        command = _command(result.path, "--retry-failed")
        click.echo(f"to try again what did not end well: {command}", err=True)
        sys.exit(1)


def _again(
    suite: Path, selection: Selection, out: Path, resume: str | None, retry_failed: bool
) -> Again | None:
    """The run that ``--resume`` names."""
    from seqbench.api import Again, latest
    from seqbench.runs import find_run
    from seqbench.store import RunFolder

    if resume is None:
        return None
    if resume == LATEST:
        return Again(latest(suite, selection, out), retry_failed)
    return Again(RunFolder.open(find_run(out, resume)), retry_failed)


def _command(folder: Path, *more: str) -> str:
    """The command as it was given, with the run to go on with."""
    given = [word for word in sys.argv[1:] if word not in more]
    if "--resume" in given:
        place = given.index("--resume")
        named = given[place + 1 : place + 2]
        taken = bool(named) and not named[0].startswith("-")
        del given[place : place + 1 + taken]
    return shlex.join(["seqbench", *given, "--resume", str(folder), *more])


def _intentions(suite: Path, selection: Selection, again: Again) -> Intentions:
    from seqbench import api
    from seqbench.cli.progress import Display

    with Display(console(stderr=True)) as display:
        return api.intentions(suite, selection, again, display.progress())


def _print_intentions(intended: Intentions) -> None:
    """Which trials will run and which will not, each with the reason; and what will be measured."""
    from rich.cells import cell_len

    from seqbench.report.text import clean
    from seqbench.work import count

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


def _report(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        from seqbench.report.export import write_json

        write_json(document, sys.stdout)
        return
    from seqbench.report.terminal import print_report

    print_report(document, console())


@click.command()
@SUITE
@selection_options
def validate(suite: Path, **chosen: Any) -> None:
    """Check SUITE as `run` would, without running it."""
    plan = _plan(suite, _selection(**chosen))
    click.echo(f"{suite}: valid: {_count(plan)}")


@click.command()
def schema() -> None:
    """Print the JSON Schema of a suite, for editors."""
    from seqbench import plugins
    from seqbench.suite.schema import json_schema

    click.echo(json.dumps(json_schema(plugins.load()), indent=2))


def _plan(suite: Path, selection: Selection) -> Plan:
    from seqbench import api, plugins

    return api.plan_suite(suite, selection, plugins.load())


def _count(plan: Plan) -> str:
    cases, trials = len(plan.cases), len(plan.trials)
    return f"{cases} case{'s' * (cases != 1)}, {trials} trial{'s' * (trials != 1)}"


def _print_plan(plan: Plan) -> None:
    from rich.table import Table
    from rich.text import Text

    from seqbench.cli.timing import latency_words, least_seconds
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
    terminal.print(Text(f"\n{_count(plan)}; nothing was run"))
