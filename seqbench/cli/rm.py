"""``seqbench rm``: deletes runs, or only their weights, samples or answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from seqbench.cli import complete
from seqbench.cli.deleting import confirmed, size_words
from seqbench.cli.options import OUT

#: What cannot be done any more, by what is deleted.
LOST = {
    "weights": "all results stay; to measure anything else, --resume retrains these trials",
    "samples": "all figures stay; the time of every call that was measured is lost",
    "answers": "all figures stay; Run.predictions has nothing to return",
}


@click.command(short_help="Delete runs, or only their weights, samples or answers.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=complete.run)
@click.option("--weights", is_flag=True, help="Delete only the trained weights.")
@click.option("--samples", is_flag=True, help="Delete only the samples of latency.")
@click.option("--answers", is_flag=True, help="Delete only the answers to the test split.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and exit.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@OUT
def rm(
    *,
    runs: tuple[str, ...],
    weights: bool,
    samples: bool,
    answers: bool,
    dry_run: bool,
    yes: bool,
    out: Path,
) -> None:
    """Delete each RUN: a folder, its name or its id (see `seqbench list`).

    With --weights, --samples or --answers, only these are deleted; `show` then still shows
    everything.
    """
    from seqbench.report.text import clean, counted
    from seqbench.store.deletion import PARTS, delete_parts, delete_run, finish_deletions

    parts = [part for part, given in zip(PARTS, (weights, samples, answers), strict=True) if given]
    sizes = _sizes(runs, parts, out)
    what = f"the {' and '.join(parts)} of " if parts else ""
    for path, size in sizes.items():
        click.echo(f"{clean(path)}  {size_words(size)}")
    for part in parts:
        click.echo(f"{part}: {LOST[part]}")
    total = size_words(sum(sizes.values()))
    if dry_run:
        click.echo(f"would free {total}; nothing was deleted")
        return
    if not confirmed(f"Delete {what}{counted(len(sizes), 'run')} ({total})?", yes):
        return
    finish_deletions(out)
    freed = 0
    for path in sizes:
        freed += delete_parts(path, parts) if parts else delete_run(path)
        click.echo(f"deleted {what}{clean(path)}")
    click.echo(f"{size_words(freed)} freed")


def _sizes(runs: Sequence[str], parts: Sequence[str], out: Path) -> Mapping[Path, int]:
    """The size of what would be deleted of each run. Raises UsageError or StoreError, with a line
    for each run that cannot be deleted.
    """
    from seqbench.errors import StoreError
    from seqbench.store.deletion import files_of, size_of, why_not_deletable
    from seqbench.store.find import find_run
    from seqbench.store.run_folder import RunFolder

    found: dict[Path, Path] = {}
    for run in runs:
        path = find_run(out, run, suites=False)
        found.setdefault(path.resolve(), path)
    problems = [problem for path in found.values() if (problem := why_not_deletable(path))]
    if problems:
        raise StoreError("\n".join(problems))
    if not parts:
        return {path: size_of(path) for path in found.values()}
    return {
        path: sum(size_of(path / name) for name in files_of(RunFolder.open(path), parts))
        for path in found.values()
    }
