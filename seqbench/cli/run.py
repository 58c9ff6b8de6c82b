"""``seqbench run``, ``validate`` and ``schema``."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqbench.cli import complete
from seqbench.cli.options import DATA_DIR, OUT, SUITE, selection_from, selection_options
from seqbench.cli.plan import planned, previewed, print_plan, print_preview
from seqbench.cli.terminal import console
from seqbench.errors import StoreError, UsageError

if TYPE_CHECKING:
    from seqbench.runner.resume.earlier import Again
    from seqbench.suite.selection import Selection

#: Stands for the latest run of the suite.
LATEST = ""


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
    from seqbench.runner.start import start_run
    from seqbench.summary.run import Run

    selection = selection_from(**chosen)
    if retry_failed and resume is None:
        raise UsageError("--retry-failed goes with --resume")
    again = _again(suite, selection, out, resume, retry_failed)
    if dry_run:
        if again is not None:
            intended = previewed(suite, selection, again)
            if as_json:
                click.echo(json.dumps(intended.to_dict(), indent=1))
            else:
                print_preview(intended)
        elif as_json:
            click.echo(json.dumps(planned(suite, selection).to_dict(), indent=1))
        else:
            print_plan(planned(suite, selection))
        return
    from seqbench.cli.progress import Display
    from seqbench.store.run_folder import RunFolder

    folders: list[RunFolder] = []
    try:
        with Display(console(stderr=True)) as display:
            result = start_run(
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
            _report(Run.open(folders[0].path).document, as_json)
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
    from seqbench.runner.resume.earlier import Again
    from seqbench.runner.start import latest_of_suite
    from seqbench.store.find import find_run
    from seqbench.store.run_folder import RunFolder

    if resume is None:
        return None
    if resume == LATEST:
        return Again(latest_of_suite(suite, selection, out), retry_failed)
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


def _report(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        from seqbench.report.exports.json import write_json

        write_json(document, sys.stdout)
        return
    from seqbench.report.terminal.report import print_report

    print_report(document, console())
