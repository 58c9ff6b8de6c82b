"""The statements on what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqbench.report.columns.column import Case, Document
from seqbench.report.names import seeds_words, status_words
from seqbench.report.text import clean, counted, label
from seqbench.report.verdict.statement import Statement, listed
from seqbench.summary.overview import NOT_FAILED

#: More reasons have no statement of their own.
MOST_REASONS = 3

#: More seeds of a case are not listed.
MOST_SEEDS = 6


def failure_statements(cases: Sequence[Case], document: Document) -> list[Statement]:
    """What failed among these cases: a statement for each reason, at most ``MOST_REASONS``, and one
    for measurements.
    """
    names = {case["id"]: label(case) for case in cases}
    trials = [trial for trial in document["trials"] if trial["case"] in names]
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for trial in trials:
        if trial["status"] not in NOT_FAILED:
            found.setdefault((trial["status"], clean(trial["reason"])), []).append(trial)
    groups = list(found.values())
    statements = [_trials(some, names, of=len(trials)) for some in groups[:MOST_REASONS]]
    rest = sum(map(len, groups[MOST_REASONS:]))
    if rest:
        statements.append(Statement("Failed", f"{rest} more", " for other reasons.", "failed"))
    unmeasured = [(case, one) for case in cases for one in _unmeasured(case)]
    return [*statements, _measurements(unmeasured)] if unmeasured else statements


def _trials(failed: Sequence[Mapping[str, Any]], names: Mapping[str, str], *, of: int) -> Statement:
    """Trials that failed for the same reason."""
    same: dict[str, list[Mapping[str, Any]]] = {}
    for trial in failed:
        same.setdefault(names[trial["case"]], []).append(trial)
    places = listed([f"{name} ({seeds_words(some, MOST_SEEDS)})" for name, some in same.items()])
    reason = clean(failed[0]["reason"])
    status = status_words(failed[0]["status"])
    what = status if status in ("diverged", "failed", "crashed") else f"ended: {status}"
    text = f" {what}: {places}" + (f"; {reason}" if reason else "")
    return Statement("Failed", f"{len(failed)} of {counted(of, 'trial')}", _ended(text), "failed")


def _unmeasured(case: Case) -> list[Mapping[str, Any]]:
    return [one for one in case.get("unmeasured", ()) if one["status"] != "skipped"]


def _measurements(failed: Sequence[tuple[Case, Mapping[str, Any]]]) -> Statement:
    """All measurements that failed, with the reason of the first."""
    names = listed(list(dict.fromkeys(label(case) for case, _ in failed)))
    first = failed[0][1]
    what = clean(first["quantity"]).replace("_", " ")
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    text = f" of {names}: {what}: {clean(first['reason'])}{more}"
    return Statement("Failed", "measurements", _ended(text), "failed")


def _ended(text: str) -> str:
    """``text`` with a full stop."""
    return text if text.endswith((".", "!", "…")) else f"{text}."
