"""Pairwise comparisons, one table per quantity and setting: ``seqbench show RUN --pairs``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seqbench.quantities import QUANTITIES, find, find_in
from seqbench.report.columns.column import Case, Document
from seqbench.report.columns.quality import metric_unit
from seqbench.report.columns.table import result_tables
from seqbench.report.numbers import figure, signed
from seqbench.report.text import clean, label, settings
from seqbench.report.views.sheet import Sheet, View
from seqbench.stats.timing import INDIFFERENCE, UNSTABLE_SPREAD
from seqbench.summary.metric_pairs import TOO_FEW

Found = Mapping[str, Any]

#: Verdicts that say how two cases compare.
DECIDED = ("better", "worse", "equivalent")

#: The keys of a comparison that exports have.
FIGURES = ("scale", "effect", "low", "high", "p", "p_corrected", "verdict", "n", "beats", "margin",
           "p_equivalent", "needed")  # fmt: skip

#: Follows a verdict on unstable timings.
UNSTABLE = "unstable"


def pairs_view(document: Document) -> View:
    """A table for each dataset, device, quantity and setting."""
    sheets = []
    for table in result_tables(document):
        cases = {case["id"]: case for case in table.cases}
        kinds: dict[str, list[Found]] = {}
        for found in document.get("comparisons") or ():
            if found["a"] in cases and found["b"] in cases:
                kinds.setdefault(_title(found, cases[found["a"]]), []).append(found)
        sheets += [_sheet(title, some, cases) for title, some in kinds.items()]
    none = "No cases were compared: this needs two cases of the same dataset and device."
    return View("pairs", document["run"], tuple(sheets), tuple(_legend(document) or [none]))


def _legend(document: Document) -> list[str]:
    """How to read the tables."""
    found = document.get("comparisons") or ()
    if not found:
        return []
    lines = [
        "p and the 95 % interval come from the same test; p corr.: corrected for all pairs of a "
        "table (Holm). A difference needs a corrected p below 0.05."
    ]
    tests = {find(each["quantity"]).compared for each in found}
    if "rounds" in tests:
        lines.append(
            f"timings: ratio in the same rounds; null hypothesis: they differ by at most "
            f"{100 * INDIFFERENCE:g} %, so p is below 0.05 where the interval is beyond that."
        )
    over = {each.get("over", "") for each in found if find(each["quantity"]).compared == "seeds"}
    if "" in over:
        lines.append(
            "metrics: Welch's t test over seeds, of logarithms for errors; a variance below the "
            "two-thirds quantile of those of all cases counts as that. beats: probability that a "
            "is better than b at a new seed. (N seeds?): the number that may be enough."
        )
    if "resamples" in over:
        lines.append(
            "metrics over resamples: paired t test of the means over the seeds of each resample, "
            "of logarithms for errors; a variance below the two-thirds quantile of those of all "
            "pairs counts as that. beats: probability that a is better than b on a new resample."
        )
    if any(each.get("margin") for each in found):
        lines.append(
            "equivalent: the difference is within the suite's margin (two one-sided tests at 5 %, "
            "corrected); such a difference may be real, but does not matter."
        )
    if any(_is_unstable(each, document["cases"]) for each in found):
        lines.append(
            f"{UNSTABLE}: the interquartile range of one case's calls exceeds "
            f"{100 * UNSTABLE_SPREAD:g} % of their median."
        )
    return lines


def _title(found: Found, case: Case) -> str:
    """``latency on parity, cpu: batch_size=1, threads=1``."""
    dataset = clean(case.get("dataset_label") or case["dataset"])
    at = settings(found["settings"])
    quantity = clean(found["quantity"])
    if found["quantity"] in QUANTITIES:  # else it is the name of a plugin's metric
        quantity = quantity.replace("_", " ")
    return f"{quantity} on {dataset}, {clean(case['device'])}" + (f": {at}" if at else "")


def share_of(found: Found, cases: Sequence[Case]) -> bool:
    """Whether the quantity is a fraction, shown in percentage points."""
    case = next((case for case in cases if case["id"] == found["a"]), {})
    return find_in(case, found["quantity"]).share


def difference_unit(found: Found, cases: Sequence[Case]) -> str:
    """The unit of a difference: ``points`` of percent, that of the metric, or ""."""
    case = next((case for case in cases if case["id"] == found["a"]), {})
    metric = find_in(case, found["quantity"])
    return "points" if metric.share else metric_unit(metric)


def in_words(found: Found, a: str, b: str, *, share: bool, unit: str = "") -> str:
    """``gru - lstm: +0.5 points (95 % CI -0.3 to +1.3), p = 0.21: not distinguishable``.

    Args:
        a, b: the names of the cases.
        unit: see :func:`difference_unit`; a ratio has none.
    """
    sign = "÷" if found["scale"] == "ratio" else "-"
    of_unit = f" {unit}" if unit and sign == "-" else ""
    parts = [f"{a} {sign} {b}: {effect_text(found, share)}{of_unit}"]
    if found["low"] is not None and found["high"] is not None:
        parts[0] += f" (95 % CI {_interval(found, share)})"
    if found["p"] is not None:
        corrected = found.get("p_corrected")
        parts.append(f"p = {p_text(found['p'])}".replace("= <", "< "))
        if corrected is not None:
            parts.append(f"corrected for all pairs {p_text(corrected)}")
    if found.get("beats") is not None:
        new = "on a new resample" if found.get("over") else "at a new seed"
        parts.append(f"{a} is better {new} with a probability of {_chance(found['beats'])}")
    return f"{', '.join(parts)}. {_verdict_in_words(found, a)}."


def _verdict_in_words(found: Found, a: str) -> str:
    """``gru is faster``, or ``Not distinguishable; 9 seeds may be enough``."""
    words, needed = verdict_words(found), found.get("needed")
    if words.startswith("a is "):
        return f"{a}{words[1:]}"
    if found["verdict"] == "no difference":
        unit = _unit(found)
        return "Not distinguishable" + (f"; {needed} {unit} may be enough" if needed else "")
    return words.capitalize()


def effect_text(found: Found, share: bool) -> str:
    """The effect without its unit: ``+0.5``, or ``1.20``; ``n/a`` if there is none."""
    return "n/a" if found["effect"] is None else _effect(found, found["effect"], share)


def _sheet(title: str, some: Sequence[Found], cases: Mapping[str, Case]) -> Sheet:
    share = find_in(cases[some[0]["a"]], some[0]["quantity"]).share
    unit = difference_unit(some[0], list(cases.values()))
    beats = ("beats",) if any(found.get("beats") is not None for found in some) else ()
    difference = f"a - b, {unit}" if unit else "a - b"
    scale = "a ÷ b" if some[0]["scale"] == "ratio" else difference
    return Sheet(
        title=title,
        headers=("a", "b", scale, "95 % CI", "p", "p corr.", *beats, "verdict"),
        texts=tuple(_texts(found, cases, share, beats=bool(beats)) for found in some),
        records=tuple(_record(found, cases) for found in some),
        sides=f"llrrrr{'r' * len(beats)}l",
        optional=("p", "beats", "p corr."),
        weak=frozenset(n for n, found in enumerate(some) if found["verdict"] not in DECIDED),
    )


def _texts(found: Found, cases: Mapping[str, Case], share: bool, *, beats: bool) -> tuple[str, ...]:
    a, b = (cases[found[name]] for name in ("a", "b"))
    verdict = verdict_words(found)
    if _is_unstable(found, (a, b)):
        verdict += f" ({UNSTABLE})"
    chance = (_chance(found.get("beats")),) if beats else ()
    return (
        label(a), label(b), _effect(found, found["effect"], share), _interval(found, share),
        p_text(found["p"]), p_text(found.get("p_corrected")), *chance, verdict,
    )  # fmt: skip


def _record(found: Found, cases: Mapping[str, Case]) -> dict[str, Any]:
    a, b = (cases[found[name]] for name in ("a", "b"))
    return {
        "quantity": found["quantity"],
        "dataset": a["dataset"],
        "dataset_params": settings(a["dataset_params"]),
        "device": a["device"],
        **found["settings"],
        "a": a["label"],
        "b": b["label"],
        "case_a": a["id"],
        "case_b": b["id"],
        **{name: found.get(name) for name in FIGURES},
        "unstable": _is_unstable(found, (a, b)),
    }


def _is_unstable(found: Found, cases: Iterable[Case]) -> bool:
    """Whether the timing of one of the cases was unstable at these settings."""
    timed = [
        case.get(found["quantity"]) for case in cases if case["id"] in (found["a"], found["b"])
    ]
    entries = [
        entry
        for some in timed
        for entry in ([some] if isinstance(some, Mapping) else some or ())
        if isinstance(entry, Mapping)
    ]
    return any(
        entry.get("unstable")
        and all(entry.get(name) == value for name, value in found["settings"].items())
        for entry in entries
    )


def _effect(found: Found, value: float, share: bool) -> str:
    if found["scale"] == "difference":
        return signed(value, share)
    return f"{value:.3f}" if 0.1 <= value < 10 else figure(value)


def _interval(found: Found, share: bool) -> str:
    if found["low"] is None or found["high"] is None:
        return "n/a"
    return " to ".join(_effect(found, found[end], share) for end in ("low", "high"))


def p_text(p: float | None) -> str:
    """``0.031``, or ``<0.001``."""
    if p is None:
        return "n/a"
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.9995 else "1"


def _chance(share: float | None) -> str:
    """``97 %``."""
    if share is None:
        return "n/a"
    return ">99 %" if share > 0.995 else "<1 %" if share < 0.005 else f"{100 * share:.0f} %"


def _unit(found: Found) -> str:
    return found.get("over") or "seeds"


def verdict_words(found: Found) -> str:
    """``a is faster``, ``cannot tell (9 seeds?)``, ``too few seeds (3 needed)``."""
    verdict = found["verdict"]
    needed = found.get("needed")
    if verdict == "no difference":
        return f"cannot tell ({needed} {_unit(found)}?)" if needed else "cannot tell"
    if verdict in TOO_FEW:
        return f"{verdict} ({needed} needed)" if needed else str(verdict)
    if verdict == "equivalent":
        return "equivalent"
    return f"a is {find(found['quantity']).verdict(verdict)}"
