"""Every comparison in pairs, one table for each quantity and setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from seqbench.report.column import Case, Document
from seqbench.report.columns import result_tables
from seqbench.report.look import empty_table
from seqbench.report.numbers import figure, signed
from seqbench.report.text import clean, label, settings

Found = Mapping[str, Any]

#: What is said of ``a``; times are faster or slower, other figures better or worse.
FASTER = {"better": "faster", "worse": "slower"}
#: Quantities whose figures are times.
TIMES = ("latency", "step", "training_step")


def print_pairs(document: Document, console: Console) -> None:
    """Prints the tables, or one line if no pair was compared."""
    parts = list(pair_tables(document))
    for part in parts:
        console.print(part)
        console.print()
    if not parts:
        console.print(Text("No cases were compared in pairs: it takes two of one dataset."))


def pair_tables(document: Document) -> Iterator[RenderableType]:
    """For each dataset, device, quantity and setting a title and a table."""
    for table in result_tables(document):
        cases = {case["id"]: case for case in table.cases}
        kinds: dict[str, list[Found]] = {}
        for found in document.get("comparisons") or ():
            if found["a"] in cases and found["b"] in cases:
                kinds.setdefault(_title(found, cases[found["a"]]), []).append(found)
        names = {name: label(case) for name, case in cases.items()}
        for title, some in kinds.items():
            yield Group(Text(title, "bold"), Text(), _table(some, names))


def _title(found: Found, case: Case) -> str:
    """``latency on parity, cpu: batch_size=1, threads=1``."""
    dataset = clean(case.get("dataset_label") or case["dataset"])
    at = settings(found["settings"])
    return f"{clean(found['quantity'])} on {dataset}, {clean(case['device'])}{': ' * bool(at)}{at}"


def _table(some: Sequence[Found], names: Mapping[str, str]) -> Table:
    result = empty_table()
    share = some[0]["quantity"] == "accuracy"
    scale = "a ÷ b" if some[0]["scale"] == "ratio" else "a - b, points" if share else "a - b"
    for header in ("a", "b"):
        result.add_column(Text(header, "bold"), overflow="fold")
    for header in (scale, "95 %", "p"):
        result.add_column(Text(header, "bold"), justify="right", no_wrap=True)
    result.add_column(Text("verdict", "bold"), overflow="fold")
    for found in some:
        style = "" if found["verdict"] in FASTER else "dim"
        cells = (
            names[found["a"]], names[found["b"]], _effect(found, found["effect"], share),
            _interval(found, share), p_text(found["p"]), verdict_words(found),
        )  # fmt: skip
        result.add_row(*(Text(cell, style) for cell in cells))
    return result


def _effect(found: Found, value: float, share: bool) -> str:
    if found["scale"] == "difference":
        return signed(value, share)
    return f"{value:.3f}" if 0.1 <= value < 100 else figure(value)


def _interval(found: Found, share: bool) -> str:
    if found["low"] is None:
        return "n/a"
    return " to ".join(_effect(found, found[end], share) for end in ("low", "high"))


def p_text(p: float) -> str:
    """``0.031``, or ``<0.001``."""
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.9995 else "1"


def verdict_words(found: Found) -> str:
    """``a is faster``, ``no difference found``, ``too few seeds (8 would probably tell)``."""
    verdict = found["verdict"]
    if verdict == "no difference":
        return "no difference found"
    if verdict in FASTER:
        return f"a is {FASTER[verdict] if found['quantity'] in TIMES else verdict}"
    needed = f" ({found['needed']} would probably tell)" if found.get("needed") else ""
    return f"{clean(verdict)}{needed}"
