"""``seqbench devices --check``: whether this machine is fit to measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from seqbench.cli.terminal import console

SECONDS = 5.0

STYLES = {"ok": "green", "warn": "bold yellow", "n/a": "dim"}


def diagnose() -> None:
    """Examines the machine and prints what was found. Raises ClickException if it cannot."""
    from seqbench.executors.base import Listener
    from seqbench.executors.registry import make_executor
    from seqbench.runner.context import local_workspace
    from seqbench.runner.phases.machine import doctor_job

    click.echo(f"checking for {SECONDS:g} s; leave the machine alone", err=True)
    executor = make_executor()
    job = doctor_job(executor, SECONDS, after_training=False)
    outcome = next(iter(executor.run([job], local_workspace(Path()), Listener())))
    if outcome.status != "ok":
        raise click.ClickException(f"the check {outcome.status}: {outcome.reason}")
    _print(outcome.result)


def _print(found: Mapping[str, Any]) -> None:
    from seqbench.machine.doctor import steadiness_verdict

    terminal = console()
    terminal.print(_table(found["findings"]))
    terminal.print()
    terminal.print(steadiness_verdict(found["noise"]), style="bold")


def _table(findings: Sequence[Mapping[str, str]]) -> Any:
    """The findings, each remedy below its finding."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header, whole in (("check", True), ("", True), ("found", False)):
        table.add_column(header, no_wrap=whole, overflow="fold")
    for finding in findings:
        level = Text(finding["level"], STYLES[finding["level"]])
        told = Text(finding["value"])
        if finding["remedy"]:
            told.append(f"\n→ {finding['remedy']}", "bold")
        table.add_row(Text(finding["name"]), level, told)
    return table
