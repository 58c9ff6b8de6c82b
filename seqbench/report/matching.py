"""How near models come to the size that a suite's ``match`` gives them, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seqbench.plan.matching import NEAR, SECONDS, UNITS, amount, percent_off
from seqbench.report.columns.column import Case, Document
from seqbench.report.names import case_name
from seqbench.report.text import LONGEST_LABEL, clean


def match_summary(document: Document) -> list[str]:
    """``matched: parameters 64,000 → 63,579 to 64,286 (-0.7 to +0.4 %)``, and which models were not
    matched; nothing for a run without ``match``.
    """
    cases: list[Case] = list(document["cases"])
    lines = []
    for quantity, wanted in _asked(cases):
        found = [
            match
            for _, match in _solved(cases)
            if (match["quantity"], match["wanted"]) == (quantity, wanted)
        ]
        if found:
            ends = [pick(found, key=lambda match: match["value"]) for pick in (min, max)]
            values = " to ".join(dict.fromkeys(amount(quantity, end["value"]) for end in ends))
            off = " to ".join(dict.fromkeys(percent_off(end["deviation"]) for end in ends))
            lines.append(
                f"matched: {clean(quantity)} {amount(quantity, wanted)} → {values} ({off} %)."
            )
    return [*lines, *_unmatched(document)]


def match_lines(document: Document) -> list[str]:
    """Which size the models were to have, how near each comes to it, and which were not matched."""
    cases: list[Case] = list(document["cases"])
    lines = []
    for quantity, wanted in _asked(cases):
        each = [
            f"{case_name(case, document)} {value_words(match)}"
            for case, match in _solved(cases)
            if (match["quantity"], match["wanted"]) == (quantity, wanted)
        ]
        if each:
            what = f"{amount(quantity, wanted)} {_unit(quantity)}"
            lines.append(f"matched: widths solved for {what}: {', '.join(each)}.")
    return [*lines, *_unmatched(document)]


def value_words(match: Mapping[str, Any]) -> str:
    """``63,842 (-0.2 %)``."""
    return f"{_amount(match, match['value'])} ({percent_off(match['deviation'])} %)"


def match_caveats(document: Document) -> Iterator[str]:
    """Models that are near their size only, and those whose figures contradict it."""
    for case, match in _solved(document["cases"]):
        name, unit = case_name(case, document), _unit(match["quantity"])
        if abs(match["deviation"]) > NEAR:
            sides = [match[side] for side in ("below", "above") if match[side]]
            width = clean(match["parameter"])
            gives = ", ".join(
                f"{width}={one['width']} gives {_amount(match, one['value'])}" for one in sides
            )
            remark = f"; {clean(match['remark'])}" if match["remark"] else ""
            yield (
                f"{name} is not of equal size: {value_words(match)} instead of "
                f"{_amount(match, match['wanted'])} {unit}: {gives}{remark}."
            )
        measured = _measured(case, match["quantity"])
        if measured is not None and _differs(match, measured):
            yield (
                f"{name} was matched with {_amount(match, match['value'])} {unit}, but the trained "
                f"model {'takes' if match['quantity'] == 'latency' else 'has'} "
                f"{_amount(match, measured)}."
            )


def models_named(cases: Iterable[Case]) -> list[str]:
    """The labels of models, without the widths that were solved."""
    names = []
    for case in cases:
        match = _match_of(case)
        width = f" {match['parameter']}={match['width']}" if match else ""
        # Of several runs that are shown together, labels end with the name of the run.
        name = case["label"].replace(width, "", 1) if width else case["label"]
        names.append(clean(name, LONGEST_LABEL))
    return list(dict.fromkeys(names))


def match_sentences(document: Document) -> Iterator[str]:
    """What was solved, and how near all models come, for a methods section."""
    cases = list(document["cases"])
    for quantity, wanted in _asked(cases):
        found = [
            abs(match["deviation"])
            for _, match in _solved(cases)
            if (match["quantity"], match["wanted"]) == (quantity, wanted)
        ]
        if found:
            yield (
                f"The widths of the models were solved for {amount(quantity, wanted)} "
                f"{_unit(quantity)}, which "
                f"they meet within {max(1, math.ceil(1000 * max(found))) / 10:g} %."
            )
    for line in _unmatched(document):
        yield line[0].upper() + line[1:]


def _amount(match: Mapping[str, Any], value: int) -> str:
    return amount(match["quantity"], value)


def _differs(match: Mapping[str, Any], measured: int) -> bool:
    """Whether the trained model has another size; a latency varies from one measurement to the
    next.
    """
    allowed = NEAR if match["quantity"] == "latency" else 0.0
    apart: float = measured / match["value"] - 1
    return abs(apart) > allowed


def _unit(quantity: str) -> str:
    return UNITS.get(quantity, clean(quantity))


def _asked(cases: Iterable[Case]) -> list[tuple[str, int]]:
    """The sizes that models were to have; one, unless runs are shown together."""
    return sorted({(m["quantity"], m["wanted"]) for m in map(_match_of, cases) if m})


def _unmatched(document: Document) -> list[str]:
    """Which models kept their own width although others were matched."""
    cases = document["cases"]
    others = [case_name(case, document) for case in cases if not case.get("match")]
    return [f"not matched: {', '.join(others)}."] if others and _asked(cases) else []


def _match_of(case: Case) -> Mapping[str, Any] | None:
    match: Mapping[str, Any] | None = case.get("match")
    return match


def _solved(cases: Iterable[Case]) -> Iterator[tuple[Case, Mapping[str, Any]]]:
    for case in cases:
        match = _match_of(case)
        if match and match["width"] is not None:
            yield case, match


def _measured(case: Case, quantity: str) -> int | None:
    """The quantity of the trained model, if it was measured."""
    if quantity == "state_bytes":
        return next((e["state_bytes"] for e in case["step"] if "state_bytes" in e), None)
    if quantity == "latency":
        at = {"batch_size": 1, "threads": 1, "length": case["length"], "runtime": "eager"}
        found = (e for e in case["latency"] if all(e.get(key) == at[key] for key in at))
        return next((round(entry["median_s"] / SECONDS) for entry in found), None)
    measured: int | None = case.get(quantity)
    return measured
