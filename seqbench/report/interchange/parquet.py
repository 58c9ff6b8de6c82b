"""Export as Parquet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqbench.report.interchange.source import Source, require
from seqbench.report.interchange.tables import rows_of
from seqbench.store.files import replace_file
from seqbench.version import __version__

#: Range of a 64-bit integer.
LEAST, MOST = -(2**63), 2**63 - 1


def export(source: Source, path: Path, *, table: str) -> list[str]:
    """Write a table with typed columns: booleans, integers, floats or text.

    A column that mixes kinds, or has lists or mappings (parameters may), has each value as JSON
    text.

    Raises:
        StoreError: the table has no rows. OSError: the file cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    rows = rows_of(source, table)
    require(rows, table, source)
    columns = {name: _column([row[name] for row in rows]) for name in rows[0]}
    made = pyarrow.table(columns).replace_schema_metadata(
        {"seqbench": __version__, "seqbench.run": source.run_name, "seqbench.table": table}
    )
    with replace_file(path) as partial:
        pyarrow.parquet.write_table(made, partial)
    return source.unfinished()


def _column(values: Sequence[Any]) -> Any:
    """An array; of the type null if there are no values."""
    import pyarrow

    kinds = {type(value) for value in values if value is not None}
    if kinds == {int} and all(LEAST <= value <= MOST for value in values if value is not None):
        return pyarrow.array(values, pyarrow.int64())
    if float in kinds and kinds <= {int, float}:
        return pyarrow.array([_float(value) for value in values], pyarrow.float64())
    if kinds == {bool}:
        return pyarrow.array(values, pyarrow.bool_())
    if not kinds:
        return pyarrow.nulls(len(values))
    return pyarrow.array([_text(value, kinds == {str}) for value in values], pyarrow.string())


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _text(value: Any, plain: bool) -> str | None:
    """A text, or any value as JSON."""
    if value is None:
        return None
    return str(value) if plain else json.dumps(value)
