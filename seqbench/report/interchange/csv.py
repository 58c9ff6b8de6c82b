"""Export as CSV."""

from __future__ import annotations

import csv
import io
import json

from seqbench.report.exports.csv import defused, to_csv
from seqbench.report.interchange.source import Exported, Source, require
from seqbench.report.interchange.tables import rows_of
from seqbench.report.text import clean


def export(source: Source, *, table: str) -> Exported:
    """A table in full precision and SI units. ``cases`` is that of ``seqbench show``.

    Text that a spreadsheet would read as a formula is prefixed with ``'``.

    Raises:
        StoreError: the table has no rows.
    """
    notes = source.unfinished()
    if table == "cases":
        return Exported(to_csv(source.document), notes)
    rows = rows_of(source, table)
    require(rows, f"{table}", source)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return Exported(file.getvalue(), notes)


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, str):
        return defused(clean(value))
    return value if isinstance(value, (bool, int, float)) else defused(json.dumps(value))
