"""MkDocs hook: the reference holds every command and every public name, taken from the code."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

import seqbench
from seqbench.cli import cli

COMMANDS = "<!-- commands -->"
WIDTH = 80


def on_page_markdown(markdown: str, page: Page, **kwargs: object) -> str:
    """Puts the help of every command where the page asks for it, and checks the Python API.

    Raises:
        PluginError: a name in ``seqbench.__all__`` is not on the page of the Python API.
    """
    if page.file.src_uri == "reference/api.md":
        documented = set(re.findall(r"^::: seqbench\.(?:\w+\.)*(\w+)$", markdown, re.MULTILINE))
        documented |= set(re.findall(r"`@?seqbench\.(\w+)`", markdown))
        if missing := set(seqbench.__all__) - documented:
            raise PluginError(f"docs/reference/api.md lacks {', '.join(sorted(missing))}")
    return markdown.replace(COMMANDS, "\n".join(_sections(cli, "seqbench", None)))


def _sections(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = command.context_class(command, info_name=name, parent=parent, **settings)
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from _sections(found, child, context)
