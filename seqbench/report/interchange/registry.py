"""The registry of export formats. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: What a format is written to. ``text`` is returned by the function, and also fits the standard
#: output; a ``file`` is replaced; a ``folder`` is added to.
Kind = Literal["text", "file", "folder"]

#: Which rows a table has.
TABLES = ("cases", "trials", "curves", "parts")


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format and its properties.

    Args:
        name: as in ``seqbench export --format``.
        kind: what it is written to.
        function: as ``"package.module:function"``. Of ``text``: takes a
            :class:`.source.Source` and returns an :class:`.source.Exported`. Of the others: also
            takes the path to write to and returns lines about what was left out.
            With ``tables``, all take the keyword ``table``.
        extra: the extra of seqbench that installs what the format needs; ``""`` for nothing.
        modules: the modules that it needs.
        tables: whether ``--table`` chooses its rows.
        hint: how to read what was written, as a command; ``{path}`` is its place.
    """

    name: str
    kind: Kind
    function: str
    extra: str = ""
    modules: tuple[str, ...] = ()
    tables: bool = False
    hint: str = ""


_HERE = "seqbench.report.interchange"

FORMATS: Mapping[str, Format] = {
    each.name: each
    for each in (
        Format(name="csv", kind="text", function=f"{_HERE}.csv:export", tables=True),
        Format(
            name="parquet", kind="file", function=f"{_HERE}.parquet:export", tables=True,
            extra="parquet", modules=("pyarrow",),
        ),
        Format(
            name="pytest-benchmark", kind="text", function=f"{_HERE}.pytest_benchmark:export",
            hint="pytest-benchmark compare {path}",
        ),
        Format(
            name="pyperf", kind="text", function=f"{_HERE}.pyperf:export",
            extra="pyperf", modules=("pyperf",), hint="python -m pyperf show {path}",
        ),
        Format(name="bmf", kind="text", function=f"{_HERE}.bmf:export"),
        Format(name="github", kind="text", function=f"{_HERE}.github:export"),
        Format(
            name="mlflow", kind="folder", function=f"{_HERE}.mlflow:export",
            extra="mlflow", modules=("mlflow", "sqlalchemy", "alembic"),
            hint="pip install mlflow && mlflow ui --backend-store-uri sqlite:///{path}/mlflow.db",
        ),
        Format(
            name="tensorboard", kind="folder", function=f"{_HERE}.tensorboard:export",
            extra="tensorboard", modules=("tensorboard",), hint="tensorboard --logdir {path}",
        ),
    )
}  # fmt: skip
