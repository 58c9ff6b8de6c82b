"""The marked cases of a column: the best, and those not distinguishable from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from seqbench.report.columns.column import Column
from seqbench.report.columns.letters import grouping
from seqbench.report.numbers import Estimate


def pair(a: str, b: str, verdict: str, length: int = 28) -> dict[str, Any]:
    settings = {"batch_size": 1, "length": length, "threads": 1, "runtime": "eager"}
    return {"quantity": "step", "a": a, "b": b, "verdict": verdict, "settings": settings}


def test_all_that_share_a_letter_with_the_best_are_marked() -> None:
    """The best is not distinguishable from either of the others, but those two differ."""
    estimates = tuple(Estimate(value) for value in (1.0, 1.1, 1.2))
    column = Column(
        field="step", si="s", header=("step", "", ""), group="speed", estimates=estimates,
        texts=("1.0", "1.1", "1.2"), better="lower", interval=True,
        letters=("ab", "a", "b"),
    )  # fmt: skip
    assert column.best == (False, False, False)  # all would be marked
    more = replace(column, letters=("ab", "a", "b", "c"), estimates=(*estimates, Estimate(2.0)))
    assert more.best == (True, True, True, False)
    assert more.top == (True, False, False, False)


def test_letters_of_a_table_come_from_its_own_pairs() -> None:
    found = [pair("a", "b", "better", 28), pair("c", "d", "better", 100)]
    for first, second in (("a", "b"), ("c", "d")):
        cases = [{"id": first}, {"id": second}]
        letters = grouping(cases, found, "step", {}, [0, 1])
        assert letters is not None
        assert letters.letters == ("a", "b")
