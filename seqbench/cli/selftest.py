"""``seqbench selftest``."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqbench.cli.terminal import console

if TYPE_CHECKING:
    from seqbench.testing.selftest.checks import Verification


@click.command()
@click.option("--quick", is_flag=True, help="Less than a minute, and no planted 2 %.")
@click.option("--device", default="cpu", show_default=True, help="Where the models run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def selftest(quick: bool, device: str, as_json: bool) -> None:
    """Check the instrument itself, on models whose truth is known.

    The real measuring path, on this machine: what is expected, what is measured. Exit code: 0 all
    passed, 1 some did not.
    """
    from tempfile import TemporaryDirectory

    from seqbench.devices.registry import available_devices
    from seqbench.errors import WorkerError
    from seqbench.plugins.discovery import load_plugins

    there = available_devices()
    if device not in there:
        known = ", ".join(there)
        raise click.BadParameter(f"this machine has no device {device!r} (it has: {known})")
    start = time.monotonic()
    registry = load_plugins()
    found: list[Verification] = []
    with (
        TemporaryDirectory(prefix="seqbench-") as folder,
        console(stderr=True).status("") as status,
    ):
        status.update("starting workers (loading torch)")
        from seqbench.testing.selftest.checks import FULL, GROUPS, QUICK, Verification
        from seqbench.testing.selftest.rig import Rig

        rig = Rig(Path(folder), device)
        for name, group in GROUPS.items():
            status.update(f"measuring: {name}")
            try:
                found += group(rig, registry, QUICK if quick else FULL)
            except WorkerError as error:
                found.append(Verification(name, "a figure", str(error), "", False))
    failed = [check for check in found if not check.passed]
    if as_json:
        click.echo(json.dumps([asdict(check) for check in found], indent=1))
    else:
        _print(found)
        verdict = f"{len(failed)} of {len(found)} failed" if failed else f"all {len(found)} passed"
        click.echo(f"\n{verdict} in {time.monotonic() - start:.0f} s")
        for line in _advice(failed):
            click.echo(line)
    if failed:
        sys.exit(1)


def _advice(failed: list[Verification]) -> list[str]:
    """Whether the machine or seqbench is to be looked at."""
    timed = [check.name for check in failed if check.timed]
    others = [check.name for check in failed if not check.timed]
    lines = []
    if timed:
        lines.append(
            f"{'; '.join(timed)}: a busy machine may be why. Close other programs and try again; "
            "`seqbench devices --check` says what may be wrong."
        )
    if others:
        lines.append(
            f"{'; '.join(others)}: no busy machine explains this. Figures of this kind are not to "
            "be trusted here."
        )
    return lines


def _print(found: list[Verification]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header, side in (
        ("check", "left"),
        ("expected", "right"),
        ("measured", "right"),
        ("error", "right"),
        ("", "left"),
    ):
        table.add_column(header, justify=side, overflow="fold")  # type: ignore[arg-type]
    for check in found:
        verdict = Text("pass", "green") if check.passed else Text("FAIL", "bold red")
        table.add_row(check.name, check.expected, check.measured, check.error, verdict)
    console().print(table)
