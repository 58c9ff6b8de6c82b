"""The command line. Each command imports what it needs when it runs."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
import warnings
from types import FrameType

import click

import seqbench
from seqbench.cli.cache import cache
from seqbench.cli.check import check
from seqbench.cli.export import export
from seqbench.cli.listing import (
    datasets,
    devices,
    losses,
    metrics,
    models,
    optimizers,
    plugins,
    reports,
    runtimes,
    schedules,
)
from seqbench.cli.new import new
from seqbench.cli.plot import plot
from seqbench.cli.report import report
from seqbench.cli.rm import rm
from seqbench.cli.run import run
from seqbench.cli.runs import list_runs
from seqbench.cli.selftest import selftest
from seqbench.cli.show import show
from seqbench.cli.streams import OutputError, drop_output, finish_streams, set_up_streams
from seqbench.cli.suites import schema, suites, validate
from seqbench.cli.terminal import wrapped
from seqbench.docstrings import docstring_of
from seqbench.errors import SeqbenchError, UsageError, check_system
from seqbench.report.text import clean

#: Maximum length of an error or a warning, in characters.
LONGEST = 5000

FAILED, USAGE, INTERRUPTED = 1, 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(seqbench.__version__, message="seqbench %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--no-plugin",
    "without",
    metavar="NAME",
    multiple=True,
    help="Disable this plugin package. Repeatable.",
)
@click.option("--strict", is_flag=True, help="Fail if any plugin is broken.")
def cli(debug: bool, without: tuple[str, ...], strict: bool) -> None:
    """Benchmark sequence models: accuracy, latency and memory of the same trained models.

    \b
    seqbench run quick     runs a suite and shows its tables
    seqbench suites        lists the suites that come with seqbench
    seqbench show          shows the tables of the latest run
    seqbench models        lists the models to compare

    Completion: eval "$(_SEQBENCH_COMPLETE=bash_source seqbench)" (or zsh_source, fish_source).
    """
    from seqbench.plugins.metadata import tolerate_broken_metadata

    tolerate_broken_metadata()
    if without:
        before = os.environ.get("SEQBENCH_DISABLE_PLUGINS", "")
        os.environ["SEQBENCH_DISABLE_PLUGINS"] = ",".join([*filter(None, [before]), *without])
    if strict:
        os.environ["SEQBENCH_STRICT_PLUGINS"] = "1"


COMMANDS = (
    run, suites, validate, show, report, plot, export, list_runs, rm, models, datasets, metrics,
    losses, optimizers, schedules, reports, devices, runtimes, plugins, check, new, cache, schema,
    selftest,
)  # fmt: skip

for command in COMMANDS:
    cli.add_command(command)


def _restore_help(command: click.Command) -> None:
    """Set the help of a command and its subcommands to the docstrings."""
    command.help = docstring_of(command.callback)
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        _restore_help(inner)


if sys.flags.optimize > 1:  # python -OO
    _restore_help(cli)


def main() -> None:
    """Run the command line and exit: 0 success, 1 failure, 2 usage error, 130 interrupted."""
    set_up_streams()
    if os.environ.get("COLUMNS") == "0":  # unknown; nothing would be printed
        del os.environ["COLUMNS"]
    gc.set_threshold(50_000)  # ten thousand records have no cycles: collect rarely
    warnings.showwarning = _print_warning  # type: ignore[assignment]
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    try:
        code = _exit_code()
        finish_streams()
    except OutputError as error:
        _print_error(f"cannot write to the standard output: {error.strerror}")
        drop_output()
        code = FAILED
    sys.exit(code)


def _exit_code() -> int:
    """Run the command line. Raises OutputError."""
    try:
        check_system()
        code = cli.main(prog_name="seqbench", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        code = exit_.exit_code
    except click.ClickException as error:
        error.show()
        code = USAGE if isinstance(error, click.UsageError) else FAILED
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    except SeqbenchError as error:
        code = USAGE if isinstance(error, UsageError) else FAILED
        if "--debug" in sys.argv:
            traceback.print_exc()
        _print_error(str(error))
        if error.hint:
            click.echo(error.hint, err=True)
    except FileNotFoundError:
        if _working_folder_exists():
            raise
        _print_error("the working folder no longer exists; change to another one")
        code = FAILED
    return code if isinstance(code, int) else 0


def _working_folder_exists() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return False
    return True


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print_warning(message: Warning | str, *more: object) -> None:
    """Print one line, without the place in the code, which does not help a user."""
    click.secho("warning: ", fg="yellow", bold=True, nl=False, err=True)
    click.echo(wrapped(clean(message, LONGEST), len("warning: ")), err=True)


def _print_error(text: str) -> None:
    for line in text.splitlines():
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(wrapped(clean(line, LONGEST), len("error: ")), err=True)
