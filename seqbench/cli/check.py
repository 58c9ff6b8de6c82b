"""``seqbench check``: checks what a plugin offers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqbench.cli import complete
from seqbench.cli.options import DATA_DIR, device_here, parameter_values
from seqbench.cli.terminal import console

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from seqbench.testing.plugin_checks.job import CheckPayload
    from seqbench.testing.plugin_checks.results import CheckResult

#: Time limit in seconds for all checks of one offer.
LIMIT = 600.0

LONGEST = 2000

KINDS = (
    "model", "dataset", "metric", "report", "runtime", "loss", "optimizer", "schedule",
)  # fmt: skip

STYLES = {
    "ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim", "no": "yellow",
}  # fmt: skip


@click.command(
    "check", short_help="Check a model, dataset, metric or whatever else a plugin offers."
)
@click.argument("name", shell_complete=complete.offer)
@click.option(
    "--param",
    "given",
    metavar="KEY=VALUE",
    multiple=True,
    help="Set a parameter. Repeatable.",
)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="What to check, if a model, dataset, metric, … have the same name.",
)
@click.option(
    "--device", default="cpu", show_default=True, help="Device to check a model or runtime on."
)
@DATA_DIR
def check(
    name: str, given: tuple[str, ...], kind: str | None, device: str, data_dir: Path | None
) -> None:
    """Check that NAME, a model, dataset or whatever else a plugin offers, has the properties that
    seqbench relies on.

    Exit code: 0 all checks passed, 1 a check failed.
    """
    from seqbench.plugins.discovery import load_plugins
    from seqbench.testing.plugin_checks.job import check_payload

    device = device_here(device)
    registry = load_plugins()
    offer = registry.look_up(kind, name) if kind else registry.offer(name)
    payload = check_payload(offer, parameter_values(given), device)
    click.echo(f"{offer.kind} {name}, {offer.origin}", err=True)
    found, problem = _run_checks(payload, data_dir)
    terminal = console()
    terminal.print(_table(found))
    failed = [one for one in found if one.result == "failed"]
    for one in failed:
        terminal.print(_failure(one))
    if problem:
        terminal.print(_plain(f"\n{problem}", "bold red"))
    click.echo(f"\n{_counts(found)}")
    if failed or problem:
        sys.exit(1)


def _counts(found: Sequence[CheckResult]) -> str:
    """``1 failed, 15 passed, 1 skipped; optional: 1 of 2 passed``."""
    from seqbench.report.text import counted

    required = [one.result for one in found if not one.optional]
    optional = [one.result for one in found if one.optional]
    numbers = {
        "failed": required.count("failed"),
        "passed": required.count("ok") + required.count("warning"),
        "skipped": required.count("skipped"),
    }
    parts = [f"{number} {what}" for what, number in numbers.items() if number or what == "passed"]
    if warnings := required.count("warning"):
        parts.append(counted(warnings, "warning"))
    more = f"; optional: {optional.count('ok')} of {len(optional)} passed" if optional else ""
    return ", ".join(parts) + more


def _run_checks(payload: CheckPayload, data_dir: Path | None) -> tuple[list[CheckResult], str]:
    """The results, and how the process ended if it did not complete; else ""."""
    from seqbench.executors.base import Activity, Job, Listener
    from seqbench.executors.registry import make_executor
    from seqbench.report.text import clean
    from seqbench.runner.context import local_workspace
    from seqbench.testing.plugin_checks.results import CheckResult

    step, found = "loading", []

    def received(job: Activity, message: Mapping[str, Any]) -> None:
        nonlocal step
        step = message.get("say", step)
        if "found" in message:
            found.append(CheckResult(**message["found"]))

    job = Job(
        "check",
        "check",
        "seqbench.testing.plugin_checks.job:check_plugin",
        payload,
        device=payload.device,
        limit=LIMIT,
    )
    workspace, listener = local_workspace(Path(), data_dir), Listener(received=received)
    outcome = next(iter(make_executor().run([job], workspace, listener)))
    if outcome.status == "ok":
        return found, ""
    lines = "".join(f"\n  | {clean(line)}" for line in outcome.lines)
    return found, f"{outcome.status} during `{step}`: {outcome.reason}{lines}"


def _table(found: Sequence[CheckResult]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in ("check", "result", "requirement"):
        table.add_column(header, overflow="fold")
    for one in found:
        requirement = one.asks + (f" ({one.note})" if one.note else "")
        result = _plain(one.result, STYLES[one.result])
        table.add_row(_plain(one.check), result, _plain(requirement))
    return table


def _failure(one: CheckResult) -> Text:
    """What was expected, what the check got, and the smallest input that shows it."""
    from seqbench.report.text import clean

    text = _plain(f"\n{one.check}", "bold red")
    for lead, value in (("expected", one.expected), ("got", one.got), ("with", one.example)):
        if value:
            text.append(f"\n  {lead:<9}", "bold")
            text.append(clean(value, LONGEST))
    return text


def _plain(text: str, style: str = "") -> Text:
    """Text from a plugin: no markup, no control characters."""
    from rich.text import Text

    from seqbench.report.text import clean

    return Text("\n".join(clean(line, LONGEST) for line in text.split("\n")), style)
