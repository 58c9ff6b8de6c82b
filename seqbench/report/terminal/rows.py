"""Which rows of a table are shown, in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqbench.report.columns.table import ResultTable
from seqbench.report.names import status_lines

#: Order of the rows: by the primary metric, best first, or as in the suite.
Sort = Literal["metric", "suite"]

#: Longer tables are shortened to the leading group, the last row, and those with a failure.
MOST_ROWS = 12

#: Most rows of the leading group, and the fewest rows from the top.
MOST_LEADING, LEAST_LEADING = 8, 3


@dataclass(frozen=True)
class Rows:
    """The rows to show, as positions in the table; ``left_out`` rows follow position ``gap``."""

    order: tuple[int, ...]
    gap: int = 0
    left_out: int = 0


def rows_of_table(table: ResultTable, sort: Sort, *, every: bool) -> Rows:
    """The rows of a table.

    Args:
        every: show all rows, however many.
    """
    order = list(range(len(table.cases)))
    metric = next((c for c in table.columns if c.field == table.metric_field), None)
    if sort == "metric" and metric is not None:
        sign = -1 if metric.better == "higher" else 1
        figures = [e.value if e else None for e in metric.estimates]
        order.sort(key=lambda row: (figures[row] is None, sign * (figures[row] or 0.0)))
    if every or len(order) <= MOST_ROWS:
        return Rows(tuple(order))
    best = metric.best if metric is not None else ()
    leading = [place for place, row in enumerate(order[:MOST_LEADING]) if best and best[row]]
    kept = order[: max([LEAST_LEADING, *(place + 1 for place in leading)])]
    rest = order[len(kept) :]
    failed = [row for row in rest[:-1] if status_lines(table.cases[row]) != ["ok"]]
    shown = [*kept, *failed[: MOST_ROWS - len(kept) - 1], rest[-1]]
    return Rows(tuple(shown), len(kept), len(order) - len(shown))
