"""Names and statuses of cases, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seqbench.plan.labels import as_text
from seqbench.report.columns.column import Case, Document
from seqbench.report.text import clean, label, settings

MOST_NAMED = 4


def status_lines(case: Case) -> list[str]:
    """``["ok"]``, or what failed: ``["1 of 3 diverged"]``."""
    seeds: Mapping[str, int] = case["seeds"]
    total = sum(seeds.values())
    if not total:
        return ["not run"]
    bad = [
        f"{n} of {total} {status_words(status)}" for status, n in seeds.items() if status != "ok"
    ]
    if not bad and case["status"] not in (None, "ok"):
        return [f"measuring: {status_words(case['status'])}"]
    return bad or ["ok"]


def several_devices(document: Document) -> bool:
    """Whether the cases of the document ran on different devices."""
    cases = document["cases"]
    return any(case["device"] != cases[0]["device"] for case in cases)


def case_name(case: Case, document: Document) -> str:
    """The label; with the dataset and the device if the document has several."""
    parts = [label(case)]
    cases = document["cases"]
    if any(dataset_label(other) != dataset_label(cases[0]) for other in cases):
        parts.append(f"on {clean(dataset_label(case))}")
    if several_devices(document):
        parts.append(f"on {clean(case['device'])}")
    return " ".join(parts)


def dataset_words(case: Case) -> tuple[str, str]:
    """The dataset as headings name it, and its name (unless that says it) and all parameters.

    ``("parity-8", "parity, length=8")``
    """
    shown, params = dataset_label(case), case["dataset_params"]
    for name, value in params.items():
        shown = shown.replace(f" {name}={as_text(value)}", "")
    hidden = "" if shown.split(":")[-1].startswith(case["dataset"]) else clean(case["dataset"])
    return clean(shown), ", ".join(filter(None, [hidden, settings(params)]))


def dataset_label(case: Case) -> str:
    """The label of the case's dataset, which tells the datasets of a run apart."""
    return str(case.get("dataset_label") or case["dataset"])


def status_words(status: str) -> str:
    """``out of memory`` for ``out_of_memory``."""
    return clean(status).replace("_", " ")


def some(names: Sequence[str], between: str = ", ") -> str:
    """The first four of ``names``, then ``and 3 more``."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return between.join(names[:MOST_NAMED]) + more
