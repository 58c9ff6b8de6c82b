"""Columns of cost: parameters, multiply-accumulates, size. None of them is ranked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from seqbench.quantities import find
from seqbench.report.columns.column import EXPORT_ONLY, Case, Column, Document
from seqbench.report.columns.shared import exact, exponent, quantity, whole
from seqbench.report.columns.speed import own_length_words

#: From this number on, parameters are shown in millions.
MANY = 1e7


def parameters_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """The number of parameters, and the published number."""
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
                estimates=tuple(found), texts=whole(found), importance=2 if at else 1,
            )  # fmt: skip
        else:
            column = quantity(field, header, found, si=find("parameters").unit, group="cost")
            yield replace(column, importance=2 if at else 1)


def macs_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """Multiply-accumulates for one sequence of the dataset's own length."""
    found = [exact(case["macs"]) for case in cases]
    at = own_length_words(cases)
    column = quantity("macs", ("MACs", at), found, si=find("macs").unit, group="cost")
    yield replace(column, importance=1)


def cost_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """The size of the weights file."""
    size = [exact(case.get("serialized_bytes")) for case in cases]
    yield quantity("serialized", ("weights", "file"), size, si="B", group="cost", rank=EXPORT_ONLY)


def growth_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """The exponent of multiply-accumulates over the length."""
    yield exponent("macs", "MACs", "cost", cases)
