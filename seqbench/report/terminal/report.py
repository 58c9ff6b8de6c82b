"""The report in the terminal: the verdict, the tables, and what limits the figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from seqbench.report import notes
from seqbench.report.caveats import caveats
from seqbench.report.columns.column import EXPORT_ONLY, Column, Document
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.matching import match_summary
from seqbench.report.names import dataset_label, several_devices, status_lines
from seqbench.report.numbers import MISSING
from seqbench.report.parts import part_lines
from seqbench.report.terminal.layout import (
    BEST,
    TIED,
    Frame,
    cells,
    column_width,
    layout,
    one_table_each,
)
from seqbench.report.terminal.rows import Rows, Sort, rows_of_table
from seqbench.report.terminal.settings_table import rows_of, settings_table
from seqbench.report.terminal.style import GAP, WARNING, empty_table
from seqbench.report.terminal.verdict import verdict_text
from seqbench.report.text import clean, label
from seqbench.report.verdict.explain import explain_verdict
from seqbench.report.verdict.of_run import Part, verdict_of
from seqbench.report.verdict.settle import next_command

#: Lines of a terminal whose height is unknown.
HEIGHT = 24

#: More warnings, or lines of the suite's notes, are only shown on request.
MOST_WARNINGS, MOST_NOTES = 5, 3

#: Statuses of trials whose logs have no traceback.
WITHOUT_TRACEBACK = ("ok", "skipped", "diverged")

MORE = "more: seqbench show --explain (also --all, --pairs, --memory) · seqbench report"


@dataclass(frozen=True)
class Options:
    """What to show.

    Args:
        sort: the order of the rows.
        every: all rows and columns, in as many tables as needed.
        explain: what every figure and sentence rests on, and all warnings.
        resume: how to resume a run that did not finish.
    """

    sort: Sort = "metric"
    every: bool = False
    explain: bool = False
    resume: bool = True


def print_report(document: Document, console: Console, options: Options = Options()) -> None:
    """Print the verdict of a run, its tables, and warnings.

    The verdict comes first; if not everything fits the screen, it comes last, so that it is in view
    when the program ends.

    Args:
        document: the run, as ``seqbench run --json`` prints it.
        console: where to print; its size determines the layout.
    """
    parts = verdict_of(document)
    verdict = _spaced(verdict_text(parts))
    body = list(report_text(document, console.width, options))
    ending = _ending(document, parts, options)
    height = console.size.height if console.is_terminal else HEIGHT
    lines = sum(len(console.render_lines(part, pad=False)) for part in (*verdict, *body, *ending))
    fits = lines < height  # the prompt takes a line
    for part in (*verdict, *body) if fits else (*body, *verdict):
        console.print(part)
    for line in ending:  # not wrapped, so that they can be copied; a picture would cut them
        console.print(line, soft_wrap=not console.record)


def _ending(document: Document, parts: Sequence[Part], options: Options) -> list[Text]:
    """What to do next, and where the results are."""
    lines = []
    seeds = max((part.seeds for part in parts if part.seeds), default=None)
    if seeds and document["status"] == "finished":
        lines.append(Text(f"next: {clean(next_command(seeds, document))}"))
    if document["trials"] and not options.explain:
        lines.append(Text(MORE, "dim"))
    return [*lines, Text(f"results: {clean(document['run'])}")]


def report_text(
    document: Document, width: int, options: Options = Options()
) -> Iterator[RenderableType]:
    """Tables, warnings and notes for ``width`` characters, part by part."""
    if not document["trials"]:
        yield Text("No trial has finished.")
        yield Text()
        yield from _below(document, [], [], options, width=width, tables=())
        return
    tables = result_tables(document)
    frames = [_frame(document, table) for table in tables]
    if options.every:
        stacks = [layout(table, width, f) for table, f in zip(tables, frames, strict=True)]
    else:
        stacks = one_table_each(tables, width, frames)
    shown: list[Column] = []
    left_out: list[Column] = []
    for table, frame, stacked in zip(tables, frames, stacks, strict=True):
        for part in _table_parts(document, table, frame, stacked, width=width, options=options):
            yield part
            yield Text()
        placed = [column for columns in stacked for column in columns]
        if options.every:
            placed += [row for row in rows_of(table) if row not in placed]
        shown += placed
        left_out += [c for c in table.columns if c.rank < EXPORT_ONLY and c not in placed]
    yield from _below(document, shown, left_out, options, width=width, tables=tables)


def _below(
    document: Document,
    shown: Sequence[Column],
    left_out: Sequence[Column],
    options: Options,
    *,
    width: int,
    tables: Sequence[ResultTable],
) -> Iterator[RenderableType]:
    """Notes of the suite, warnings, the legend and, on request, explanations."""
    most = None if options.explain else MOST_NOTES
    noted = [Text(line) for line in _first(notes.user_notes(document), most)]
    if noted:
        yield Group(*noted)
        yield Text()
    most = None if options.explain else MOST_WARNINGS
    warned = _first(caveats(document, resume=options.resume), most)
    parts: list[RenderableType] = [_hanging("! ", line, WARNING) for line in warned]
    below = [*notes.legend(shown, BEST, TIED), *part_lines(document, tables)]
    parts += [Text(line) for line in below]
    if not options.explain:
        parts += [Text(line) for line in match_summary(document)]
    if options.explain:
        lines = [*explain_verdict(document), *notes.explanations(document, shown)]
        lines += _left_out(left_out, width)
        parts += [Text(line, "dim") for line in lines]
    if parts:
        yield Group(*parts)
        yield Text()


def _first(lines: Sequence[str], most: int | None) -> list[str]:
    """The first lines, and how many more there are."""
    if most is None or len(lines) <= most:
        return list(lines)
    return [*lines[:most], f"… and {len(lines) - most} more: seqbench show --explain"]


def _spaced(parts: Iterable[RenderableType]) -> list[RenderableType]:
    return [each for part in parts for each in (part, Text())]


def _left_out(columns: Sequence[Column], width: int) -> list[str]:
    """The columns that did not fit, and how to see them."""
    if not columns:
        return []
    names = "; ".join(dict.fromkeys(" ".join(filter(None, c.header[:2])) for c in columns))
    return [f"Not shown at {width} columns: {names}. Use --all, or --format csv."]


def _table_parts(
    document: Document,
    table: ResultTable,
    frame: Frame,
    stacked: Sequence[Sequence[Column]],
    *,
    width: int,
    options: Options,
) -> Iterator[RenderableType]:
    """The table of one dataset (or stacked tables), with its title if there are several datasets,
    and its failures.
    """
    rows = rows_of_table(table, options.sort, every=options.every)
    first, *others = (
        _rich_table(table, columns, frame, rows, width=width, first=number == 0)
        for number, columns in enumerate(stacked)
    )
    several = len({dataset_label(case) for case in document["cases"]}) > 1
    yield Group(_title(table), Text(), first) if several or options.explain else first
    yield from others
    if options.every:
        yield from settings_table(table, frame.labels, frame.devices, width)
    failed = notes.failures(document, table)
    if failed:
        if any(trial["status"] not in WITHOUT_TRACEBACK for trial in document["trials"]):
            failed.append(f"(logs with tracebacks: {clean(document['run'])}/logs/)")
        yield Group(*(_hanging("  ", line) for line in failed))


def _title(table: ResultTable) -> Text:
    title = Text(table.dataset, "bold")
    if table.about:
        title.append(f"  {table.about}", "not bold dim")
    return title


def _hanging(lead: str, line: str, style: str = "") -> RenderableType:
    """``line`` after ``lead``; wrapped lines are indented by the width of ``lead``."""
    grid = Table.grid(padding=0)
    grid.add_column(width=len(lead), no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text.assemble((lead.rstrip(), style), " "), Text(line))
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
    table: ResultTable,
    columns: Sequence[Column],
    frame: Frame,
    rows: Rows,
    *,
    width: int,
    first: bool,
) -> Table:
    room = width - sum(column_width(column) + GAP for column in columns)
    others = frame.room(0, first=first)
    label_width = frame.label_width(max(room - others, 1))
    result = empty_table()
    if rows.left_out:
        label_width = max(label_width, len(f"… {rows.left_out} more"))
    result.add_column(Text("case", "bold"), width=label_width, overflow="fold", vertical="top")
    lines = [[Text(frame.labels[row])] for row in rows.order]
    if frame.devices:
        _add_texts(result, lines, "device", [frame.devices[row] for row in rows.order])
    for column in columns:
        _add_figures(result, lines, column, rows, primary=column.field == table.metric_field)
    if first and frame.statuses:
        _add_texts(result, lines, "status", [frame.statuses[row] for row in rows.order])
    _level_headers(result)
    for number, line in enumerate(lines):
        if rows.left_out and number == rows.gap:
            result.add_row(Text(f"… {rows.left_out} more", "dim"))
        result.add_row(*line)
    return result


def _level_headers(result: Table) -> None:
    """Pad headers to the same height, so that all are bottom-aligned."""
    headers = [column.header for column in result.columns if isinstance(column.header, Text)]
    highest = max(header.plain.count("\n") for header in headers)
    for column, header in zip(result.columns, headers, strict=True):
        missing = highest - header.plain.count("\n")
        column.header = Text("\n" * missing).append_text(header)


def _add_texts(result: Table, lines: list[list[Text]], header: str, texts: Sequence[str]) -> None:
    result.add_column(Text(header, "bold"), overflow="fold")
    for line, text in zip(lines, texts, strict=True):
        line.append(Text(text, "" if text in ("ok",) or header == "device" else "bold red"))


def _add_figures(
    result: Table, lines: list[list[Text]], column: Column, rows: Rows, *, primary: bool
) -> None:
    """Add a column of figures, padded by hand because rich strips trailing blanks.

    Only the best figure of the primary metric is colored, and only if it is distinguishable from
    all others: readers take green for praise.
    """
    width = column_width(column)
    name, at, unit = (line and line.rjust(width) for line in column.header)
    header = [Text(name, "bold"), Text(at, "bold"), Text(unit, "dim")]
    result.add_column(Text("\n").join(line for line in header if line), width=width, no_wrap=True)
    texts, top = cells(column), column.top
    certain = primary and column.best == column.top and "" not in column.rivals
    emphasis = "bold green" if certain else "bold"
    for line, row in zip(lines, rows.order, strict=True):
        style = emphasis if top[row] else ""
        if texts[row].strip() == MISSING:
            style = "dim"
        line.append(Text(texts[row].rjust(width), style))
