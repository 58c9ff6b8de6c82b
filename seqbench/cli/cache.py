"""``seqbench cache``: what the cache holds, and deleting it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqbench.cli import complete
from seqbench.cli.deleting import confirmed, size_words
from seqbench.cli.terminal import console
from seqbench.errors import UsageError

if TYPE_CHECKING:
    from seqbench.training.cache import Entry


@click.group(invoke_without_command=True, short_help="Show or delete prepared datasets.")
@click.pass_context
def cache(context: click.Context) -> None:
    """Show the prepared datasets and downloads in the cache.

    Whatever is deleted is prepared again when a run needs it.
    """
    if context.invoked_subcommand is not None:
        return
    from seqbench.report.text import clean
    from seqbench.training.cache import entries_of
    from seqbench.training.data import cache_dir

    folder = cache_dir()
    entries = entries_of(folder)
    if entries:
        _print(entries)
    total = size_words(sum(entry.size for entry in entries))
    click.echo(clean(f"{total} in {folder}" if entries else f"nothing in {folder} yet"))


@cache.command("rm")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete.cached)
@click.option("--all", "everything", is_flag=True, help="Delete all of it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(*, names: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Delete each NAME from the cache: an entry, or a dataset with any parameters.

    What a running run uses is not deleted.
    """
    from seqbench.report.text import clean, counted
    from seqbench.training.cache import delete_entry, entries_of, in_use
    from seqbench.training.data import cache_dir

    if bool(names) == everything:
        raise UsageError("name what to delete (see `seqbench cache`), or pass --all")
    folder = cache_dir()
    entries = entries_of(folder)
    chosen = entries if everything else _chosen(entries, names, folder)
    busy = [entry.name for entry in chosen if in_use(entry)]
    if busy:
        used = clean(", ".join(busy))
        raise UsageError(
            f"nothing was deleted: in use, or being written within the last hour: {used}; wait for "
            "the run, or name the others"
        )
    for entry in chosen:
        click.echo(clean(f"{entry.name}  {size_words(entry.size)}"))
    total = size_words(sum(entry.size for entry in chosen))
    if not chosen:
        click.echo(clean(f"nothing in {folder} to delete"))
    elif confirmed(f"Delete {counted(len(chosen), 'file')} ({total})?", yes):
        freed = 0
        for entry in chosen:
            if in_use(entry):  # a run has started meanwhile
                click.echo(clean(f"{entry.name} is in use now: kept"))
                continue
            delete_entry(entry)
            freed += entry.size
        click.echo(f"{size_words(freed)} freed")


def _chosen(entries: Sequence[Entry], names: Sequence[str], folder: Path) -> list[Entry]:
    """The entries that the user names. Raises UsageError if a name matches none."""
    from seqbench.suggest import suggested
    from seqbench.training.cache import matching

    found: dict[str, Entry] = {}
    for name in names:
        entries_named = matching(entries, name)
        if not entries_named:
            known = [one for entry in entries for one in (entry.dataset, entry.name) if one]
            raise UsageError(suggested(f"nothing in {folder} is called {name!r}", name, known))
        found |= {entry.name: entry for entry in entries_named}
    return list(found.values())


def _print(entries: Sequence[Entry]) -> None:
    from rich.table import Table
    from rich.text import Text

    from seqbench.report.text import clean, settings

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in ("name", "parameters", "size", "last used"):
        table.add_column(
            header, overflow="fold", no_wrap=header in ("size", "last used"),
            justify="right" if header == "size" else "left",
        )  # fmt: skip
    for entry in entries:
        used = datetime.fromtimestamp(entry.used, timezone.utc).strftime("%Y-%m-%d")
        cells = (entry.name, settings(entry.params) or entry.remark, size_words(entry.size), used)
        table.add_row(*(Text(clean(cell)) for cell in cells))
    console().print(table)
