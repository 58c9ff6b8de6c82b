"""``seqbench validate``, ``seqbench suites`` and ``seqbench schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from seqbench.cli.options import SUITE, selection_from, selection_options
from seqbench.cli.plan import plan_size, planned, print_warnings, skipped_lines
from seqbench.cli.terminal import console


@click.command()
@SUITE
@selection_options
def validate(suite: Path, **chosen: Any) -> None:
    """Check SUITE as `run` would, without running it."""
    from seqbench.plan.advice import advice
    from seqbench.suite.files import read_suite
    from seqbench.suite.shipped import as_given

    plan = planned(read_suite(suite), selection_from(**chosen))
    click.echo(f"{as_given(suite)}: valid: {plan_size(plan)}")
    for line in skipped_lines(plan):
        click.echo(line)
    print_warnings(advice(plan))


@click.command(short_help="List the suites that ship with seqbench.")
def suites() -> None:
    """List the suites that ship with seqbench: what each shows and what it needs."""
    from rich.table import Table
    from rich.text import Text

    from seqbench.suite.shipped import shipped_suites

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in ("suite", "what it shows", "what it needs"):
        table.add_column(header, overflow="fold", no_wrap=header == "suite")
    for suite in shipped_suites():
        table.add_row(suite.name, Text(suite.description), Text(suite.needs))
    console().print(table)
    click.echo("\nrun one: seqbench run NAME; write your own: seqbench new suite NAME")


@click.command()
@click.option(
    "--document", is_flag=True, help="Print the schema of the `run --json` document instead."
)
def schema(document: bool) -> None:
    """Print the JSON Schema of a suite, for editors."""
    if document:
        from seqbench.summary.schema import document_schema

        found = document_schema()
    else:
        from seqbench.plugins.discovery import load_plugins
        from seqbench.suite.json_schema import json_schema

        found = json_schema(load_plugins())
    click.echo(json.dumps(found, indent=2))
