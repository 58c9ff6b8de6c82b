"""Columns of memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seqbench.report import numbers
from seqbench.report.columns.column import Case, Column, Group
from seqbench.report.columns.make import exact, quantity
from seqbench.report.numbers import MISSING

#: The kernel's accounting is no finer than about this: closer figures of memory are equal.
MEMORY_RESOLUTION = 2**20


def memory_columns(cases: Sequence[Case]) -> Iterable[Column]:
    """Peak memory, in the same unit for inference and training."""
    memories = [case["memory"] or {} for case in cases]
    found = {
        mode: [exact(memory.get(f"{mode}_bytes")) for memory in memories]
        for mode in ("inference", "training")
    }
    unit = numbers.common_unit([e.value for es in found.values() for e in es if e], numbers.BYTES)
    spread = max((memory.get("spread_bytes", 0) for memory in memories), default=0)
    for mode, estimates in found.items():
        yield quantity(
            f"memory_{mode}", ("memory", mode), estimates, si="bytes", group="memory",
            scale=numbers.BYTES, unit=unit, better="lower",
            resolution=max(MEMORY_RESOLUTION, spread), finest=0.1,
            rivals=tuple(
                "" if memory.get("lower_bound") else case["device"]
                for case, memory in zip(cases, memories, strict=True)
            ),
        )  # fmt: skip


def growth_columns(cases: Sequence[Case]) -> Iterable[Column]:
    """What power of the length memory and multiply-accumulates grow with."""
    for name, words in (
        ("memory_inference", "memory"),
        ("memory_training", "training"),
        ("macs", "MACs"),
    ):
        found = [exact((case.get("exponents") or {}).get(name)) for case in cases]
        texts = tuple(f"{e.value:.2f}" if e else MISSING for e in found)
        group: Group = "cost" if name == "macs" else "memory"
        yield Column(f"{name}_exponent", "", ("exponent", words, ""), group, tuple(found), texts)
