"""Export as an SVG picture of a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from seqbench.errors import StoreError
from seqbench.store.files import replace_file


def save_svg(path: Path, draw: Callable[[Console], None], *, title: str, width: int = 100) -> None:
    """Write what ``draw`` prints as a picture of a terminal, ``width`` characters wide.

    The file is self-contained: no external fonts or images.

    Raises:
        StoreError: the file cannot be written.
    """
    console = Console(
        record=True,
        width=width,
        height=1_000,  # a picture is not scrolled: the verdict comes first
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        legacy_windows=False,
    )
    draw(console)
    try:
        with replace_file(path) as partial:
            partial.write_text(console.export_svg(title=title, code_format=SVG), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


#: rich fills in the names in braces.
SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
}}
.{unique_id}-title {{
    font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: 18px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""
