"""``seqbench validate`` and ``seqbench schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from seqbench.cli.options import SUITE, selection_from, selection_options
from seqbench.cli.plan import plan_size, planned


@click.command()
@SUITE
@selection_options
def validate(suite: Path, **chosen: Any) -> None:
    """Check SUITE as `run` would, without running it."""
    plan = planned(suite, selection_from(**chosen))
    click.echo(f"{suite}: valid: {plan_size(plan)}")


@click.command()
@click.option("--document", is_flag=True, help="Of the document that `run --json` prints.")
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
