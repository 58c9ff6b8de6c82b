"""What the commands that delete something share: sizes in words, and the question whether to."""

from __future__ import annotations

import sys

import click

from seqbench.errors import UsageError


def size_words(size: int) -> str:
    """A number of bytes as text: ``812 B``, ``3.19 MiB``."""
    from seqbench.report.numbers import BYTES, SMALL_BYTES, Scale, common_unit, figure

    unit = common_unit([size], Scale((*SMALL_BYTES.units, *BYTES.units[1:])))
    digits = 1 if unit.factor == 1 else 3
    return f"{figure(size / unit.factor, digits)} {unit.name}"


def confirmed(question: str, yes: bool) -> bool:
    """Whether the user wants it; ``yes``: they have said so already.

    Raises:
        UsageError: nobody can be asked, since the standard input is not a terminal.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("nothing was deleted: pass --yes to confirm, as there is no terminal")
    if click.confirm(question, err=True):
        return True
    click.echo("nothing was deleted")
    return False
