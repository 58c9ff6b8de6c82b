"""MkDocs hook: the reference of the command line, taken from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from seqbench.cli import cli

MARK = "<!-- commands -->"
WIDTH = 80


def on_page_markdown(markdown: str, **kwargs: object) -> str:
    """Puts the help of every command where the page asks for it."""
    return markdown.replace(MARK, "\n".join(_sections(cli, "seqbench", None)))


def _sections(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = command.context_class(command, info_name=name, parent=parent, **settings)
    path = context.command_path
    yield f"## {path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from _sections(found, child, context)
