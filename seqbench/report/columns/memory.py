"""Columns of memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from seqbench.quantities import find
from seqbench.report import numbers
from seqbench.report.columns.column import Case, Column, Document
from seqbench.report.columns.shared import exact, exponent, quantity
from seqbench.report.columns.speed import own_length_words

#: The kernel's accounting is no finer than about this, so closer figures count as equal.
MEMORY_RESOLUTION = 2**20


def memory_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """Peak memory, with the same unit for inference and training."""
    about = find("memory")
    memories = [case["memory"] or {} for case in cases]
    found = {
        mode: [exact(memory.get(f"{mode}_bytes")) for memory in memories]
        for mode in ("inference", "training")
    }
    unit = numbers.common_unit([e.value for es in found.values() for e in es if e], numbers.BYTES)
    spread = max((memory.get("spread_bytes", 0) for memory in memories), default=0)
    at = own_length_words(cases)
    for mode, estimates in found.items():
        words = f"{mode}, {at}" if at else mode
        column = quantity(
            f"memory_{mode}", ("memory", words), estimates, si=about.unit, group="memory",
            unit=unit, better=about.better,
            resolution=max(MEMORY_RESOLUTION, spread), finest=0.1,
            rivals=tuple(
                "" if memory.get("lower_bound") else case["device"]
                for case, memory in zip(cases, memories, strict=True)
            ),
        )  # fmt: skip
        yield replace(column, importance=0 if mode == "inference" else 2)


def growth_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """The exponents of working memory over the length."""
    yield exponent("memory_inference", "memory", "memory", cases)
    yield exponent("memory_training", "training", "memory", cases)
