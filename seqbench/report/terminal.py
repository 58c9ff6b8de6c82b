"""Tables for people, as wide as the terminal allows: columns are added or stacked, never cut."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from seqbench.report import notes
from seqbench.report.column import EXPORT_ONLY, Column, Document
from seqbench.report.columns import ResultTable, result_tables
from seqbench.report.look import GAP, empty_table
from seqbench.report.numbers import MISSING, aligned
from seqbench.report.settings_table import rows_of, settings_table
from seqbench.report.text import clean, label, settings
from seqbench.report.warnings import warnings

BEST, TIED = "*", "~"
#: A label may be wrapped to this width to make room for what is always shown …
NARROW_LABEL = 16
#: … and to this one to make room for more.
WIDE_LABEL = 40
#: Columns up to this rank get a table of their own where they fit into no other.
WANTED = 1
#: Which groups of columns share a table, the best way first.
WAYS = (
    (("quality", "speed", "memory", "cost"),),
    (("quality", "cost"), ("speed", "memory")),
    (("quality",), ("speed", "memory", "cost")),
    (("quality",), ("speed", "memory"), ("cost",)),
)


def print_report(document: Document, console: Console) -> None:
    """Prints the tables of a run and what one must know to read them.

    Args:
        document: the run, as ``seqbench run --json`` prints it.
        console: where to; its width decides on the layout.
    """
    for part in report(document, console.width):
        console.print(part)
    # Not wrapped, so that it can be copied.
    console.print(Text(f"results: {clean(document['run'])}"), soft_wrap=True)


def report(document: Document, width: int) -> Iterator[RenderableType]:
    """Everything that is printed but the last line, part by part, for ``width`` columns."""
    if not document["trials"]:
        yield Text("No trial has ended.")
        yield from _with_space([Group(*_warned(document))])
        return
    tables = result_tables(document)
    shown: list[Column] = []
    left_out: list[Column] = []
    for table in tables:
        frame = _frame(document, table)
        stacked = layout(table, width, frame)
        yield from _with_space(_table_parts(document, table, frame, stacked, width))
        placed = [column for columns in stacked for column in columns]
        shown += [*placed, *(row for row in rows_of(table) if row not in placed)]
        left_out += [c for c in table.columns if c.rank < EXPORT_ONLY and c not in shown]
    noted = [Text(line) for line in notes.user_notes(document)]
    if noted:
        yield from _with_space([Group(*noted)])
    explained = [*notes.explanations(document, shown, BEST, TIED), *_left_out(left_out, width)]
    yield from _with_space([Group(*_warned(document), *(Text(line, "dim") for line in explained))])


def _warned(document: Document) -> list[RenderableType]:
    return [_hanging("! ", line, "bold") for line in warnings(document)]


def _with_space(parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    for part in parts:
        yield part
        yield Text()


def _left_out(columns: Sequence[Column], width: int) -> list[str]:
    """The columns that did not fit, and where to find them."""
    names = "; ".join(dict.fromkeys(" ".join(filter(None, c.header[:2])) for c in columns))
    return [
        f"Left out at {width} columns: {names}. A wider terminal, or --format csv, shows them."
    ] * bool(columns)


def _table_parts(
    document: Document,
    table: ResultTable,
    frame: Frame,
    stacked: Sequence[Sequence[Column]],
    width: int,
) -> Iterator[RenderableType]:
    """Title, table (or stacked tables) and failures of one dataset."""
    title = Text(clean(table.dataset), "bold")
    params = settings(table.params)
    if params:
        title.append(f"  {params}", "not bold dim")
    first, *others = (
        _rich_table(table, columns, frame, width, first=number == 0)
        for number, columns in enumerate(stacked)
    )
    yield Group(title, Text(), first)
    yield from others
    yield from settings_table(table, frame.labels, frame.devices, width)
    failed = notes.failures(document, table)
    if failed:
        failed.append(f"(logs, with tracebacks: {clean(document['run'])}/logs/)")
        yield Group(*(_hanging("  ", line) for line in failed))


def _hanging(lead: str, line: str, style: str = "") -> RenderableType:
    """``line`` after ``lead``, wrapped lines indented by as much."""
    grid = Table.grid(padding=0)
    grid.add_column(width=len(lead), no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(lead, style), Text(line, style))
    return grid


@dataclass(frozen=True)
class Frame:
    """The texts around the figures of a table; an empty tuple is a column left out."""

    labels: tuple[str, ...]
    devices: tuple[str, ...]
    statuses: tuple[str, ...]

    def room(self, most: int, *, first: bool) -> int:
        """Columns taken by the texts if labels may take up to ``most``."""
        texts = [("device", self.devices), ("status", self.statuses if first else ())]
        others = sum(_width((header, *text)) + GAP for header, text in texts if text)
        return self.label_width(most) + others

    def label_width(self, most: int) -> int:
        return min(_width(("case", *self.labels)), most)


def _frame(document: Document, table: ResultTable) -> Frame:
    devices = [clean(case["device"]) for case in table.cases]
    statuses = ["\n".join(notes.status_lines(case)) for case in table.cases]
    return Frame(
        tuple(label(case) for case in table.cases),
        tuple(devices) if notes.several_devices(document) else (),
        tuple(statuses) if any(status != "ok" for status in statuses) else (),
    )


def _width(texts: Iterable[str]) -> int:
    return max(cell_len(line) for text in texts for line in text.split("\n"))


def layout(table: ResultTable, width: int, frame: Frame) -> list[list[Column]]:
    """The columns of each of the tables, one below the other, that ``width`` calls for.

    What is always shown goes into one table if it fits, else into a few, each with what belongs
    together; then other columns are added where they fit. Else it goes into as many as it takes.
    """
    shown = [column for column in table.columns if column.rank == 0]
    first, others = (width - frame.room(NARROW_LABEL, first=first) for first in (True, False))
    for way in WAYS:
        stacked = [[c for c in shown if c.group in groups] for groups in way]
        stacked = [columns for columns in stacked if columns]
        if _fits(stacked[0], first) and all(_fits(columns, others) for columns in stacked[1:]):
            break
    else:
        return _cut(shown, first, others)
    for column in sorted(table.columns, key=lambda column: column.rank):
        if 0 < column.rank < EXPORT_ONLY:
            _add_where_it_fits(column, stacked, table, width, frame)
    placed = [column for columns in stacked for column in columns]
    wanted = [c for c in table.columns if 0 < c.rank <= WANTED and c not in placed]
    return stacked + (_cut(wanted, others, others) if wanted else [])


def _fits(columns: Iterable[Column], room: int) -> bool:
    return sum(column_width(column) + GAP for column in columns) <= room


def _cut(columns: Sequence[Column], first_room: int, other_room: int) -> list[list[Column]]:
    """Cuts a row of columns into as few pieces as fit into their rooms."""
    pieces: list[list[Column]] = [[]]
    for column in columns:
        room = first_room if len(pieces) == 1 else other_room
        if pieces[-1] and not _fits([*pieces[-1], column], room):
            pieces.append([])
        pieces[-1].append(column)
    return pieces


def _add_where_it_fits(
    column: Column, stacked: list[list[Column]], table: ResultTable, width: int, frame: Frame
) -> None:
    for number, columns in enumerate(stacked):
        akin = any(column.group == other.group for other in columns)
        room = width - frame.room(WIDE_LABEL, first=number == 0)
        if akin and _fits([*columns, column], room):
            columns.append(column)
            columns.sort(key=table.columns.index)
            return


def cells(column: Column) -> list[str]:
    """The figures of a column with their marks, padded so that decimal points line up."""
    return aligned([text + mark for text, mark in zip(column.texts, _marks(column), strict=True)])


def _marks(column: Column) -> list[str]:
    """What follows each figure: its letters, or else a mark for the best."""
    if column.letters is not None:
        return [f" {letters}" if letters else "" for letters in column.letters]
    return [BEST if top else TIED * best for best, top in zip(column.best, column.top, strict=True)]


def column_width(column: Column) -> int:
    """Characters that a column takes, gap aside."""
    return _width([*column.header, *cells(column)])


def _rich_table(
    table: ResultTable, columns: Sequence[Column], frame: Frame, width: int, *, first: bool
) -> Table:
    room = width - sum(column_width(column) + GAP for column in columns)
    others = frame.room(0, first=first)
    label_width = frame.label_width(max(room - others, 1))
    result = empty_table()
    result.add_column(Text("case", "bold"), width=label_width, overflow="fold", vertical="top")
    rows = [[Text(text)] for text in frame.labels]
    if frame.devices:
        _add_texts(result, rows, "device", frame.devices)
    for column in columns:
        _add_figures(result, rows, column)
    if first and frame.statuses:
        _add_texts(result, rows, "status", frame.statuses)
    _level_headers(result)
    for row in rows:
        result.add_row(*row)
    return result


def _level_headers(result: Table) -> None:
    """Makes all headers as high as the highest, so that each stands on the line below them."""
    headers = [column.header for column in result.columns if isinstance(column.header, Text)]
    highest = max(header.plain.count("\n") for header in headers)
    for column, header in zip(result.columns, headers, strict=True):
        missing = highest - header.plain.count("\n")
        column.header = Text("\n" * missing).append_text(header)


def _add_texts(result: Table, rows: list[list[Text]], header: str, texts: Sequence[str]) -> None:
    result.add_column(Text(header, "bold"), overflow="fold")
    for row, text in zip(rows, texts, strict=True):
        row.append(Text(text, "" if text in ("ok",) or header == "device" else "bold red"))


def _add_figures(result: Table, rows: list[list[Text]], column: Column) -> None:
    """Adds a column of figures. It is padded by hand: rich would strip blanks at the right end."""
    width = column_width(column)
    name, at, unit = (line and line.rjust(width) for line in column.header)
    header = [Text(name, "bold"), Text(at, "bold"), Text(unit, "dim")]
    result.add_column(Text("\n").join(line for line in header if line), width=width, no_wrap=True)
    for row, text, best, top in zip(rows, cells(column), column.best, column.top, strict=True):
        style = "bold green" if top else "green" if best else ""
        style = "dim" if text.strip() == MISSING else style
        row.append(Text(text.rjust(width), style))


def save_svg(document: Document, path: Path, width: int = 100) -> None:
    """Writes the report as a picture of a terminal, ``width`` characters wide.

    The file refers to nothing outside it.
    """
    console = Console(
        record=True,
        width=width,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        legacy_windows=False,
    )
    print_report(document, console)
    title = f"seqbench run suites/{clean(document['suite'])}.yaml"
    path.write_text(console.export_svg(title=title, code_format=SVG), encoding="utf-8")


#: The names in braces are those that rich fills in.
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
