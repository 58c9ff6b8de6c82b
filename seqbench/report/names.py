"""What a case is called, and how it ended, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seqbench.report.columns.column import Case, Document
from seqbench.report.text import clean, label

MOST_NAMED = 4


def status_lines(case: Case) -> list[str]:
    """``["ok"]``, or what went wrong: ``["1 of 3 diverged"]``."""
    seeds: Mapping[str, int] = case["seeds"]
    total = sum(seeds.values())
    if not total:
        return ["not run"]
    bad = [
        f"{n} of {total} {dataset_words(status)}" for status, n in seeds.items() if status != "ok"
    ]
    if not bad and case["status"] not in (None, "ok"):
        return [f"measuring: {dataset_words(case['status'])}"]
    return bad or ["ok"]


def several_devices(document: Document) -> bool:
    """Whether cases of the document differ in their device."""
    cases = document["cases"]
    return any(case["device"] != cases[0]["device"] for case in cases)


def case_name(case: Case, document: Document) -> str:
    """The label, with the dataset and the device where the document has several."""
    parts = [label(case)]
    cases = document["cases"]
    if any(_dataset(other) != _dataset(cases[0]) for other in cases):
        parts.append(f"on {clean(_dataset(case))}")
    if several_devices(document):
        parts.append(f"on {clean(case['device'])}")
    return " ".join(parts)


def _dataset(case: Case) -> str:
    return str(case.get("dataset_label") or case["dataset"])


def dataset_words(status: str) -> str:
    return clean(status).replace("_", " ")


def some(names: Sequence[str], between: str = ", ") -> str:
    """The first few of ``names``, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return between.join(names[:MOST_NAMED]) + more
