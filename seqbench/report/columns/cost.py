"""Columns of cost: parameters, size, multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from seqbench.report import numbers
from seqbench.report.columns.column import EXPORT_ONLY, Case, Column
from seqbench.report.columns.make import exact, quantity, whole


def cost_columns(cases: Sequence[Case]) -> Iterable[Column]:
    """What a model costs by construction; neither way is better by itself."""
    counted = partial(quantity, si="", group="cost", scale=numbers.COUNT)
    for field, header, found in (
        ("parameters", ("parameters", ""), [exact(case["parameters"]) for case in cases]),
        (
            "reference_parameters",
            ("parameters", "reference"),
            [exact(case["reference"].get("parameters")) for case in cases],
        ),
    ):
        if max((e.value for e in found if e), default=0) < 1e7:
            yield Column(field, "", (*header, ""), "cost", tuple(found), whole(found))
        else:
            yield counted(field, header, found)
    macs = [exact(case["macs"]) for case in cases]
    yield counted("macs", ("MACs", ""), macs)
    size = [exact(case.get("serialized_bytes")) for case in cases]
    yield quantity(
        "serialized", ("weights", "file"), size,
        si="bytes", group="cost", scale=numbers.BYTES, rank=EXPORT_ONLY,
    )  # fmt: skip
