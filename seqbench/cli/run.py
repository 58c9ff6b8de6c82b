"""``seqbench run``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqbench.cli import complete
from seqbench.cli.options import DATA_DIR, OUT, selection_from, selection_options, suite_argument
from seqbench.cli.plan import (
    forecasted,
    planned,
    previewed,
    print_plan,
    print_preview,
    skipped_cases,
)
from seqbench.cli.show import print_document
from seqbench.cli.terminal import console
from seqbench.errors import StoreError, UsageError
from seqbench.report.text import command_line

if TYPE_CHECKING:
    from seqbench.report.run import Run
    from seqbench.runner.start import Request
    from seqbench.store.run_folder import RunFolder
    from seqbench.suite.files import SuiteFile
    from seqbench.suite.selection import Selection

#: ``--resume`` without a value: the latest run of the suite.
LATEST = ""


@click.command(short_help="Run SUITE: train, measure, show the tables.")
@suite_argument(required=False)
@selection_options
@OUT
@DATA_DIR
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train on at most N CPU cores at once, for example on a shared machine. Default: all.",
)
@click.option(
    "--resume",
    metavar="[RUN]",
    is_flag=False,
    flag_value=LATEST,
    shell_complete=complete.run,
    help="Resume a run: only what is missing is run. Default: the suite's latest run, or, "
    "without SUITE, the latest run of all.",
)
@click.option("--retry-failed", is_flag=True, help="With --resume: also retry failures.")
@click.option("--dry-run", is_flag=True, help="Print the plan and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def run(
    *,
    suite: Path | None,
    out: Path,
    data_dir: Path | None,
    jobs: int | None,
    resume: str | None,
    retry_failed: bool,
    dry_run: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Run SUITE: train every trial, measure every case, show the tables.

    With --resume, SUITE can be omitted: a run knows its suite.

    Exit code: 0 success, 1 a trial or measurement failed or a device is missing, 2 invalid suite
    or usage, 130 interrupted. Cases that do not fit are skipped, which is no failure.
    """
    from seqbench.runner.resume.earlier import Resume
    from seqbench.runner.start import Request
    from seqbench.summary.overview import NOT_FAILED

    if retry_failed and resume is None:
        raise UsageError("--retry-failed needs --resume")
    selection = selection_from(**chosen)
    file, named = _suite_and_run(suite, selection, out, resume)
    request = Request(file, selection, None if named is None else Resume(named, retry_failed))
    if dry_run:
        _dry_run(request, as_json, out=out, jobs=jobs)
        return
    result = _run(request, as_json, out=out, data_dir=data_dir, jobs=jobs)
    print_document(result.document, as_json=as_json)
    if any(case["status"] not in (None, *NOT_FAILED) for case in result.document["cases"]):
        command = _command(Path(result.document["run"]), "--retry-failed")
        click.echo(f"retry failures with: {command}", err=True)
    if not result.ok:
        sys.exit(1)


def _run(
    request: Request, as_json: bool, *, out: Path, data_dir: Path | None, jobs: int | None
) -> Run:
    """Run with a display. If interrupted, show the results so far and how to resume."""
    from seqbench.display.progress import Display
    from seqbench.executors.registry import make_executor
    from seqbench.report.run import Run
    from seqbench.runner.start import start_run

    folders: list[RunFolder] = []
    try:
        with Display(console(stderr=True)) as display:
            return start_run(
                request,
                out=out,
                data_dir=data_dir,
                progress=display.progress(),
                on_folder=folders.append,
                on_resume=display.resumed,
                executor=make_executor(cores=jobs),
            )
    except KeyboardInterrupt:
        if folders:
            document = Run.open(folders[0].path).document
            print_document(document, as_json=as_json, resume=False)
            click.echo(f"resume with: {_command(folders[0].path)}", err=True)
        raise
    except StoreError as error:
        if folders and folders[0].path.is_dir():
            error.hint = f"resume with: {_command(folders[0].path)}"
        raise


def _dry_run(request: Request, as_json: bool, *, out: Path, jobs: int | None) -> None:
    """Print the plan, or what resuming the run would do, and how long that would take."""
    if request.resume is not None:
        found = previewed(request.suite, request.selection, request.resume, out=out, jobs=jobs)
        if as_json:
            click.echo(json.dumps(found.to_dict(), indent=1))
        else:
            print_preview(found)
        return
    from seqbench.plan.advice import advice
    from seqbench.runner.phases.match import deviations

    plan = planned(request.suite, request.selection)
    plan, estimate = forecasted(plan, out=out, jobs=jobs)
    warnings = [*advice(plan), *deviations(plan)]
    if as_json:
        skipped = [{"case": case, "reason": why} for case, why in skipped_cases(plan).items()]
        more = {"skipped": skipped, "estimate": estimate.to_dict(), "warnings": warnings}
        click.echo(json.dumps({**plan.to_dict(), **more}, indent=1))
    else:
        print_plan(plan, estimate, warnings)


def _suite_and_run(
    suite: Path | None, selection: Selection, out: Path, resume: str | None
) -> tuple[SuiteFile, RunFolder | None]:
    """The suite, and the run that ``--resume`` names. Either of them identifies the other.

    ``--resume tiny.yaml`` without a suite means the latest run of that suite.
    """
    from seqbench.runner.resume.suite import suite_and_run
    from seqbench.suite.files import read_suite
    from seqbench.suite.shipped import SUFFIXES

    if suite is None and resume is None:
        context = click.get_current_context()
        raise click.MissingParameter(ctx=context, param_hint="'SUITE'", param_type="argument")
    if suite is None and resume and resume.endswith(SUFFIXES) and Path(resume).is_file():
        suite, resume = Path(resume), LATEST
    file = None if suite is None else read_suite(suite)
    return suite_and_run(file, selection, out, resume)


def _command(folder: Path, *more: str) -> str:
    """The command line of this process, with the run to resume."""
    given = [word for word in sys.argv[1:] if word not in more]
    given = [word for word in given if not word.startswith("--resume=")]
    if "--resume" in given:
        place = given.index("--resume")
        named = given[place + 1 : place + 2]
        has_value = bool(named) and not named[0].startswith("-")
        del given[place : place + (2 if has_value else 1)]
    return command_line(["seqbench", *given, "--resume", str(folder), *more])
