"""Columns of cost: parameters, multiply-accumulates, size. Neither way is better by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seqbench.quantities import find
from seqbench.report.columns.column import EXPORT_ONLY, Case, Column, Document
from seqbench.report.columns.make import exact, exponent, quantity, whole

#: From so many parameters on they are shown in millions.
MANY = 1e7


def parameters_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """How many parameters a model has, and what others have reported."""
    for field, at, found in (
        ("parameters", "", [exact(case["parameters"]) for case in cases]),
        (
            "reference_parameters",
            "reference",
            [exact(case["reference"].get("parameters")) for case in cases],
        ),
    ):
        header = ("parameters", at)
        if max((e.value for e in found if e), default=0) < MANY:
            yield Column(
                field=field, si="", header=(*header, ""), group="cost",
                estimates=tuple(found), texts=whole(found),
            )  # fmt: skip
        else:
            yield quantity(field, header, found, si=find("parameters").unit, group="cost")


def macs_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """Multiply-accumulates of one sequence of the dataset's own length."""
    found = [exact(case["macs"]) for case in cases]
    yield quantity("macs", ("MACs", ""), found, si=find("macs").unit, group="cost")


def cost_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """The size of the file with the weights."""
    size = [exact(case.get("serialized_bytes")) for case in cases]
    yield quantity("serialized", ("weights", "file"), size, si="B", group="cost", rank=EXPORT_ONLY)


def growth_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """What power of the length multiply-accumulates grow with."""
    yield exponent("macs", "MACs", "cost", cases)
