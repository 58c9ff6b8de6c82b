"""``seqbench selftest``: verifies that seqbench measures correctly."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqbench.cli.options import device_here
from seqbench.cli.terminal import console

if TYPE_CHECKING:
    from seqbench.testing.selftest.verifications import Verification


@click.command(short_help="Verify on known models that seqbench measures correctly.")
@click.option("--quick", is_flag=True, help="Faster (under a minute): skips the 2 % case.")
@click.option("--device", default="cpu", show_default=True, help="Device that the models run on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def selftest(quick: bool, device: str, as_json: bool) -> None:
    """Verify that seqbench measures correctly, on models with known properties.

    Uses the same code as a run, on this machine, and shows expected and measured figures. Exit
    code: 0 all passed, 1 some failed.
    """
    from tempfile import TemporaryDirectory

    Path.cwd()  # libraries of torch end a process whose working folder was deleted
    from seqbench.errors import WorkerError
    from seqbench.plugins.discovery import load_plugins

    device = device_here(device)
    start = time.monotonic()
    registry = load_plugins()
    found: list[Verification] = []
    with (
        TemporaryDirectory(prefix="seqbench-") as folder,
        console(stderr=True).status("") as status,
    ):
        status.update("starting workers (loading torch)")
        from seqbench.testing.selftest.rig import Rig
        from seqbench.testing.selftest.verifications import FULL, GROUPS, QUICK, Verification

        rig = Rig(Path(folder), device)
        for name, group in GROUPS.items():
            status.update(f"measuring: {name}")
            try:
                found += group(rig, registry, QUICK if quick else FULL)
            except WorkerError as error:
                found.append(Verification(name, "a figure", str(error), "", False))
    failed = [one for one in found if not one.passed]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=1))
    else:
        _print(found)
        verdict = f"{len(failed)} of {len(found)} failed" if failed else f"all {len(found)} passed"
        click.echo(f"\n{verdict} in {time.monotonic() - start:.0f} s")
        for line in _advice(failed):
            click.echo(line)
    if failed:
        sys.exit(1)


def _advice(failed: list[Verification]) -> list[str]:
    """Whether the machine or seqbench is the likely cause."""
    timed = [one.name for one in failed if one.timed]
    others = [one.name for one in failed if not one.timed]
    lines = []
    if timed:
        lines.append(
            f"{'; '.join(timed)}: a busy machine may be the cause. Close other programs and retry; "
            "`seqbench devices --check` shows what may be wrong."
        )
    if others:
        lines.append(
            f"{'; '.join(others)}: a busy machine does not explain this. Do not trust figures of "
            "this kind on this machine."
        )
    return lines


def _print(found: list[Verification]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header, side in (
        ("verification", "left"),
        ("expected", "right"),
        ("measured", "right"),
        ("error", "right"),
        ("", "left"),
    ):
        table.add_column(header, justify=side, overflow="fold")  # type: ignore[arg-type]
    for one in found:
        verdict = Text("pass", "green") if one.passed else Text("FAIL", "bold red")
        table.add_row(one.name, one.expected, one.measured, one.error, verdict)
    console().print(table)
