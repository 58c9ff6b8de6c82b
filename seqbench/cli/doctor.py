"""``seqbench devices --check``: whether this machine is suitable for benchmarking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from seqbench.cli.terminal import console

SECONDS = 5.0

STYLES = {"ok": "green", "warn": "bold yellow", "n/a": "dim"}


def diagnose() -> None:
    """Diagnose the machine and print the findings. Raises ClickException if that fails."""
    from seqbench.executors.base import Listener
    from seqbench.executors.registry import make_executor
    from seqbench.runner.context import local_workspace
    from seqbench.runner.phases.machine import doctor_job

    click.echo(f"diagnosing for {SECONDS:g} s; leave the machine idle", err=True)
    executor = make_executor()
    job = doctor_job(executor, SECONDS, after_training=False)
    outcome = next(iter(executor.run([job], local_workspace(Path()), Listener())))
    if outcome.status != "ok":
        raise click.ClickException(f"diagnosis {outcome.status}: {outcome.reason}")
    _print(outcome.result)


def _print(found: Mapping[str, Any]) -> None:
    from seqbench.machine.doctor import steadiness_verdict

    terminal = console()
    terminal.print(_table(found["findings"]))
    terminal.print()
    terminal.print(steadiness_verdict(found["noise"]), style="bold")


def _table(findings: Sequence[Mapping[str, str]]) -> Any:
    """The findings, each with its remedy below."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header, unbroken in (("property", True), ("", True), ("finding", False)):
        table.add_column(header, no_wrap=unbroken, overflow="fold")
    for finding in findings:
        level = Text(finding["level"], STYLES[finding["level"]])
        text = Text(finding["value"])
        if finding["remedy"]:
            text.append(f"\n→ {finding['remedy']}", "bold")
        table.add_row(Text(finding["name"]), level, text)
    return table
