"""``seqbench list``: the saved runs."""

from __future__ import annotations

from pathlib import Path

import click

from seqbench.cli.options import OUT
from seqbench.cli.terminal import console


@click.command("list")
@OUT
def list_runs(out: Path) -> None:
    """List the saved runs, newest last."""
    from rich.table import Table
    from rich.text import Text

    from seqbench.errors import StoreError
    from seqbench.store.find import find_runs
    from seqbench.store.run_folder import RunFolder

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("run", "status", "trials", "started (UTC)"):
        table.add_column(
            header, overflow="fold", no_wrap=header in ("run", "started (UTC)"),
            justify="right" if header == "trials" else "left",
        )  # fmt: skip
    unreadable = []
    runs = find_runs(out)
    for path in runs:
        try:
            folder = RunFolder.open(path)
            state, planned = folder.state(), {trial["id"] for trial in folder.plan()["trials"]}
            ok = sum(one.status == "ok" for one in folder.trials() if one.id in planned)
            missing = sum(m.status != "ok" for case in folder.cases() for m in case.measurements)
            missing += sum(
                score["status"] not in ("ok", "skipped")
                for trial in folder.trials()
                for score in trial.scores.values()
            )
            trials = f"{ok} of {len(planned)} ok"
            if missing:
                trials += f", {missing} not measured"
            cells = (state["status"], trials, state.get("started", "")[:16])
        except (StoreError, KeyError) as error:
            cells = ("unreadable", "", "")
            unreadable.append(f"{path.parent.name}/{path.name}: {error}")
        table.add_row(*(Text(cell) for cell in (f"{path.parent.name}/{path.name}", *cells)))
    if runs:
        console().print(table)
        for line in unreadable:
            click.echo(line)
    else:
        click.echo(f"no runs in {out}/ yet: create one with `seqbench run SUITE`")
