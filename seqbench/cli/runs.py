"""``seqbench list``: the saved runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqbench.cli import complete
from seqbench.cli.options import OUT
from seqbench.cli.terminal import console

if TYPE_CHECKING:
    from rich.table import Table

    from seqbench.summary.overview import Leader, Overview

#: The number of runs that are listed without --all.
NEWEST = 20

#: From this width on, the time has its year, and the device is always shown.
WIDE = 100

#: Columns that are cut on a narrow terminal: which, to which width, one after the other.
SHRINK = (("suite", 14), ("best", 12), ("suite", 8), ("best", 4), ("suite", 4), ("start UTC", 5),
          ("status", 4), ("time", 4), ("trials", 3))  # fmt: skip

STATUSES = ("finished", "running", "interrupted", "killed", "failed", "damaged")


@dataclass(frozen=True)
class Listed:
    """One run of the list; ``overview`` is None if it cannot be read, and ``problem`` says why."""

    path: Path
    id: str
    state: Mapping[str, Any]
    overview: Overview | None = None
    problem: str = ""


@click.command("list")
@click.option(
    "--suite",
    metavar="NAME",
    shell_complete=complete.run_suite,
    help="Only runs of this suite; * stands for any text, as in 'fashion*'.",
)
@click.option("--status", type=click.Choice(STATUSES), help="Only runs with this status.")
@click.option("--all", "every", is_flag=True, help=f"List all runs, not only the newest {NEWEST}.")
@click.option(
    "-q", "--quiet", is_flag=True, help="Print only ids, as in `seqbench rm $(seqbench list -q)`."
)
@OUT
def list_runs(
    *, suite: str | None, status: str | None, every: bool, quiet: bool, out: Path
) -> None:
    """List the saved runs, newest last.

    Every command that takes a run accepts its id.
    """
    from seqbench.report.text import counted
    from seqbench.store.find import find_runs, short_ids

    runs = find_runs(out)
    ids = short_ids(runs)
    named = [run for run in runs if suite is None or fnmatchcase(run.parent.name, suite)]
    found, left_out = _newest(named, ids, status, None if every else NEWEST)
    if quiet:
        for one in found:
            click.echo(one.id)
    elif found:
        _print(found)
    elif runs:
        click.echo(f"none of the {len(runs)} runs in {out}/ matches")
    else:
        click.echo(f"no runs in {out}/ yet: create one with `seqbench run SUITE`")
    if left_out:
        click.echo(f"{counted(left_out, 'older run')} not listed; list all with --all", err=True)


def _newest(
    runs: Sequence[Path], ids: Mapping[Path, str], status: str | None, most: int | None
) -> tuple[list[Listed], int]:
    """The newest runs with a status, the latest last, and how many more there are."""
    from seqbench.store.run_folder import RunFolder

    found = []
    for path in runs:
        state = RunFolder(path).state()
        if status in (None, state["status"]):
            found.append(Listed(path, ids[path], state))
    kept = found if most is None else found[-most:]
    return kept, len(found) - len(kept)


def _print(found: Sequence[Listed]) -> None:
    from seqbench.report.text import clean

    terminal = console()
    runs = [_read(one) for one in found]
    terminal.print(_table(runs, terminal.width))
    if terminal.width < WIDE and len(_devices(runs)) == 1:
        click.echo(clean(f"all on {', '.join(_devices(runs))}"))
    for one in runs:
        if one.problem:
            click.echo(clean(f"{one.path.parent.name}/{one.path.name}: {one.problem}"))


def _read(one: Listed) -> Listed:
    """The run with its overview, or with the reason why it cannot be read."""
    from seqbench.errors import StoreError
    from seqbench.store.run_folder import RunFolder
    from seqbench.summary.overview import overview_of

    try:
        overview = overview_of(RunFolder.open(one.path), one.state)
    except StoreError as error:
        return Listed(one.path, one.id, one.state, problem=str(error))
    return Listed(one.path, one.id, one.state, overview)


def _table(runs: Sequence[Listed], width: int) -> Table:
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    from seqbench.report.text import clean

    columns = _columns(runs, width >= WIDE)
    cells = {name: [clean(text(one)) for one in runs] for name, text in columns.items()}
    natural = {name: max(map(cell_len, (name, *cells[name]))) for name in columns}
    gap, widths = _fitted(natural, width)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, gap, 0, 0))
    for name in columns:
        justify: Any = "right" if name in ("trials", "failed", "time") else "left"
        table.add_column(
            name, no_wrap=True, overflow="ellipsis", width=widths[name], justify=justify
        )
    for row in zip(*cells.values(), strict=True):
        table.add_row(*map(Text, row))
    return table


def _fitted(natural: Mapping[str, int], width: int) -> tuple[int, Mapping[str, int]]:
    """The gap between columns and their widths, on a terminal of some width."""
    widths = dict(natural)
    gap = 2 if _total(widths, 2) <= width else 1
    for name, least in SHRINK:
        if name in widths:
            widths[name] -= max(0, min(_total(widths, gap) - width, widths[name] - least))
    return gap, widths


def _total(widths: Mapping[str, int], gap: int) -> int:
    return sum(widths.values()) + gap * (len(widths) - 1)


def _columns(runs: Sequence[Listed], wide: bool) -> dict[str, Callable[[Listed], str]]:
    """The columns, each with the text of its cells. If there is little room, the device is left
    out if it is the same everywhere.
    """

    def of(text: Callable[[Overview], str]) -> Callable[[Listed], str]:
        return lambda one: text(one.overview) if one.overview else ""

    failed = any(one.overview and one.overview.failed for one in runs)
    device = wide or len(_devices(runs)) > 1
    return {
        "run": lambda one: one.id,
        "suite": lambda one: one.path.parent.name,
        "status": lambda one: "unreadable" if one.problem else one.state["status"],
        "trials": of(lambda overview: f"{overview.ended}/{overview.planned}"),
        **({"failed": of(lambda overview: str(overview.failed or ""))} if failed else {}),
        "best": of(lambda overview: _best(overview.leader)),
        **({"device": of(_device)} if device else {}),
        "time": of(lambda overview: _time(overview.seconds)),
        "started (UTC)" if wide else "start UTC": lambda one: _started(one.state, wide),
    }


def _device(overview: Overview) -> str:
    return ", ".join(overview.devices)


def _devices(runs: Sequence[Listed]) -> set[str]:
    return {_device(one.overview) for one in runs if one.overview}


def _best(leader: Leader) -> str:
    """``88.3 % gru``, ``mse 0.021 lstm``, or why it is unknown."""
    from seqbench.report.numbers import NOT_AVAILABLE

    if leader.why:
        return f"{NOT_AVAILABLE}: {leader.why}"
    if leader.share:
        name = "" if leader.metric == "accuracy" else f"{leader.metric} "
        return f"{name}{100 * leader.value:.1f} % {leader.label}"
    figure = f"{leader.value:.3g} {leader.unit}".rstrip()
    return f"{leader.metric} {figure} {leader.label}"


def _time(seconds: float | None) -> str:
    """``45 s``, ``12 min``, ``2.1 h``."""
    if seconds is None:
        return "n/a"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3570 else f"{seconds / 3600:.1f} h"


def _started(state: Mapping[str, Any], wide: bool) -> str:
    """``2026-03-14 15:09``; without the year on a narrow terminal."""
    text = str(state.get("started", ""))[:16].replace("T", " ")
    return text if wide else text[5:]
