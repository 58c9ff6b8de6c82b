"""Columns of the speed of training: the time of a step, and sequences per second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from seqbench.quantities import find
from seqbench.report import numbers
from seqbench.report.columns.column import Case, Column, Document
from seqbench.report.columns.shared import exact, interval, quantity
from seqbench.report.columns.speed import median_of

Entry = Mapping[str, Any]


def training_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """A training step and its published time, then sequences per second.

    Steps that were timed only for the time to the suite's target have no column.
    """
    if not training_requested(document):
        return
    about = find("training_step")
    entries: list[Entry] = [case.get("training_step") or {} for case in cases]
    at = training_words(cases) or "own batch"
    medians = [median_of(entry) for entry in entries]
    unit = numbers.common_unit([e.value for e in medians if e], numbers.TIME)
    times = partial(quantity, si=about.unit, group="speed", unit=unit)
    column = times(
        about.name, ("train step", at), medians, better=about.better, has_interval=True,
        rivals=tuple(case["device"] for case in cases),
    )  # fmt: skip
    yield replace(column, compared=(about.name, {}), importance=1)
    given = [exact(case["reference"].get("training_step_s")) for case in cases]
    column = times(f"reference_{about.name}", ("reference", "train step"), given)
    yield replace(column, importance=2)
    rates: list[Entry] = [case.get("training_throughput") or {} for case in cases]
    figures = [interval(rate, "per_s", "low_per_s", "high_per_s") for rate in rates]
    rate = find("training_throughput")
    column = quantity(
        rate.name, ("train rate", at), figures, si=rate.unit, group="speed", has_interval=True,
        rank=1,
    )  # fmt: skip
    yield replace(column, more=True)


def training_requested(document: Document) -> bool:
    """Whether the suite asks for the time of training steps."""
    return bool((document.get("measure") or {}).get("training"))


def training_words(cases: Sequence[Case]) -> str:
    """``batch 64``: the number of sequences of a step; "" if it differs between cases."""
    sizes = {entry["batch_size"] for case in cases if (entry := case.get("training_step"))}
    return f"batch {sizes.pop()}" if len(sizes) == 1 else ""
