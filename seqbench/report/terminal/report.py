"""The report in the terminal. Columns are added or stacked to fit its width, never cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from seqbench.report import notes
from seqbench.report.caveats import caveats
from seqbench.report.columns.column import EXPORT_ONLY, Column, Document
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.names import several_devices, status_lines
from seqbench.report.numbers import MISSING
from seqbench.report.terminal.layout import BEST, TIED, Frame, cells, column_width, layout
from seqbench.report.terminal.settings_table import rows_of, settings_table
from seqbench.report.terminal.style import GAP, empty_table
from seqbench.report.text import clean, label, settings


def print_report(document: Document, console: Console, *, resume: bool = True) -> None:
    """Print the tables of a run, with warnings and notes.

    Args:
        document: the run, as ``seqbench run --json`` prints it.
        console: where to print; its width determines the layout.
        resume: whether to show how to resume a run that did not finish.
    """
    for part in report_text(document, console.width, resume=resume):
        console.print(part)
    # Not wrapped, so that it can be copied.
    console.print(Text(f"results: {clean(document['run'])}"), soft_wrap=True)


def report_text(document: Document, width: int, *, resume: bool = True) -> Iterator[RenderableType]:
    """The report for ``width`` characters, part by part, without its last line."""
    if not document["trials"]:
        yield Text("No trial has finished.")
        yield from _with_space([Group(*_warned(document, resume))])
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
    dim = [Text(line, "dim") for line in explained]
    yield from _with_space([Group(*_warned(document, resume), *dim)])


def _warned(document: Document, resume: bool) -> list[RenderableType]:
    return [_hanging("! ", line, "bold") for line in caveats(document, resume=resume)]


def _with_space(parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    for part in parts:
        yield part
        yield Text()


def _left_out(columns: Sequence[Column], width: int) -> list[str]:
    """The columns that did not fit, and how to see them."""
    if not columns:
        return []
    names = "; ".join(dict.fromkeys(" ".join(filter(None, c.header[:2])) for c in columns))
    return [f"Not shown at {width} columns: {names}. Use a wider terminal or --format csv."]


def _table_parts(
    document: Document,
    table: ResultTable,
    frame: Frame,
    stacked: Sequence[Sequence[Column]],
    width: int,
) -> Iterator[RenderableType]:
    """The title, the table (or stacked tables) and the failures of one dataset."""
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
        if any(trial["status"] not in ("ok", "skipped") for trial in document["trials"]):
            failed.append(f"(logs with tracebacks: {clean(document['run'])}/logs/)")
        yield Group(*(_hanging("  ", line) for line in failed))


def _hanging(lead: str, line: str, style: str = "") -> RenderableType:
    """``line`` after ``lead``; wrapped lines are indented by the width of ``lead``."""
    grid = Table.grid(padding=0)
    grid.add_column(width=len(lead), no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(lead, style), Text(line, style))
    return grid


def _frame(document: Document, table: ResultTable) -> Frame:
    devices = [clean(case["device"]) for case in table.cases]
    statuses = ["\n".join(status_lines(case)) for case in table.cases]
    return Frame(
        tuple(label(case) for case in table.cases),
        tuple(devices) if several_devices(document) else (),
        tuple(statuses) if any(status != "ok" for status in statuses) else (),
    )


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
    """Pad headers to the same height, so that all are bottom-aligned."""
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
    """Add a column of figures, padded by hand because rich strips trailing blanks."""
    width = column_width(column)
    name, at, unit = (line and line.rjust(width) for line in column.header)
    header = [Text(name, "bold"), Text(at, "bold"), Text(unit, "dim")]
    result.add_column(Text("\n").join(line for line in header if line), width=width, no_wrap=True)
    for row, text, best, top in zip(rows, cells(column), column.best, column.top, strict=True):
        style = "bold green" if top else "green" if best else ""
        style = "dim" if text.strip() == MISSING else style
        row.append(Text(text.rjust(width), style))
