"""The statement on memory, from its column: its figures have a resolution instead of a test."""

from __future__ import annotations

from seqbench.report import numbers
from seqbench.report.columns.column import Column
from seqbench.report.columns.table import ResultTable
from seqbench.report.numbers import Estimate
from seqbench.report.text import label
from seqbench.report.verdict.statement import Statement, is_or_are, listed, times


def memory_statement(table: ResultTable, column: Column, rows: list[int]) -> Statement | None:
    """Who needs the least memory at inference, who about as much, and who the most.

    Args:
        column: of memory at inference.
        rows: the cases of one device.
    """
    found = {row: e for row in rows if (e := column.estimates[row])}
    if not found:
        return None
    ranked = sorted(found, key=lambda row: found[row].value)
    least, most = ranked[0], ranked[-1]
    name, size = label(table.cases[least]), _size(found[least])
    if len(ranked) == 1:
        return Statement("Memory", name, f": {size} at inference.", "plain")
    close = column.resolution
    near = [row for row in ranked[1:] if found[row].value - found[least].value <= close]
    if len(near) == len(ranked) - 1:
        about = " to ".join(dict.fromkeys([size, _size(found[most])]))
        rest = f": {about} at inference; differences within {_size(Estimate(close))} are unknown."
        return Statement("Memory", "too close to measure", rest, "plain")
    sentences = [f" needs least at inference: {size}."]
    if near:
        names = listed([f"{label(table.cases[row])} ({_size(found[row])})" for row in near])
        measurable = f"too close to measure (within {_size(Estimate(close))})"
        sentences.append(f"{names} {is_or_are(near)} {measurable}.")
    if found[most].value - found[ranked[-2]].value > close:
        factor = found[most].value / found[least].value if found[least].value > 10 * close else 0
        more = f" ({times(factor)})" if factor else ""
        sentences.append(f"{label(table.cases[most])} needs most: {_size(found[most])}{more}.")
    return Statement("Memory", name, " ".join(sentences), "plain")


def _size(figure: Estimate) -> str:
    unit = numbers.common_unit([figure.value], numbers.BYTES)
    return f"{numbers.figure(figure.value / unit.factor, finest=0.1)} {unit.name}"
