"""What one sees in each chart, in words made from the data and from the tests behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqbench.report import numbers
from seqbench.report.charts.source import Group
from seqbench.report.columns.column import Column
from seqbench.report.columns.letters import at_settings
from seqbench.report.columns.quality import metric_of
from seqbench.report.text import counted
from seqbench.report.verdict.statement import is_or_are, listed, times


def compared_column(group: Group, quantity: str) -> Column | None:
    """The first column of a quantity whose cases were compared in pairs."""
    found = (c for c in group.table.columns if c.compared and c.compared[0] == quantity)
    return next(found, None)


def pairs_of(group: Group, column: Column) -> list[Mapping[str, Any]]:
    """The comparisons between the drawn cases in a column."""
    assert column.compared is not None
    drawn = {case["id"] for case in group.cases}
    every = group.source.document.get("comparisons") or ()
    own = [each for each in every if each["a"] in drawn and each["b"] in drawn]
    return at_settings(own, *column.compared)


def _better(group: Group, column: Column) -> set[tuple[str, str]]:
    """The pairs of case ids of which the first is better than the second for certain."""
    found = pairs_of(group, column)
    return {(e["a"], e["b"]) for e in found if e["verdict"] == "better"} | {
        (e["b"], e["a"]) for e in found if e["verdict"] == "worse"
    }


def trade_offs(group: Group) -> str:
    """Which cases another one beats in the metric and in latency alike."""
    metric = compared_column(group, group.table.metric)
    latency = compared_column(group, "latency")
    if metric is None or latency is None or len(group.cases) < 2:
        return ""
    beaten: dict[str, str] = {}
    for better, worse in sorted(_better(group, metric) & _better(group, latency)):
        beaten.setdefault(group.names[worse], group.names[better])
    what = f"{group.table.metric} and latency"
    if not beaten:
        return f"No case is known to be worse than another in both {what}: each is a trade-off."
    lost = [f"{worse} is worse than {better}" for worse, better in beaten.items()]
    kept = [name for name in group.order if name not in beaten]
    return f"In both {what}, {listed(lost)}; {_remain(kept)}"


def _remain(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} remains."
    return f"{listed(names)} are trade-offs."


def spread_of_seeds(group: Group) -> str:
    """How far the seeds of each case lie apart."""
    ranges: dict[str, float] = {}
    share = metric_is_share(group)
    for case in group.cases:
        values = [t["metrics"]["value"] for t in group.trials(case) if t["status"] == "ok"]
        if len(values) > 1:
            ranges[group.names[case["id"]]] = max(values) - min(values)
    if not ranges:
        return "One seed each: nothing is known about how much seeds matter."
    most, least = max(ranges, key=ranges.__getitem__), min(ranges, key=ranges.__getitem__)
    unit = " points" if share else ""
    if most == least:
        return f"The seeds of {most} span {_span(ranges[most], share)}{unit}."
    return (
        f"The seeds of {most} span {_span(ranges[most], share)}{unit}, those of {least} "
        f"{_span(ranges[least], share)}."
    )


def _span(value: float, share: bool) -> str:
    return numbers.signed(value, share).lstrip("+")


def metric_is_share(group: Group) -> bool:
    """Whether the metric is a fraction, shown in percent."""
    return metric_of(group.table.cases, group.source.document).share


def chosen_epochs(group: Group) -> str:
    """At which epochs the best weights were found."""
    chosen: dict[str, list[int]] = {}
    last = 0
    for case in group.cases:
        for trial in group.trials(case):
            curve = group.source.curves.get(trial["id"], ())
            last = max(last, len(curve))
            best = trial["metrics"].get("best_epoch")
            if best is not None:
                chosen.setdefault(group.names[case["id"]], []).append(best)
    if not chosen:
        return "The weights of the last epoch count: there is no validation split."
    ends = [name for name, epochs in chosen.items() if max(epochs) == last]
    every = [epoch for epochs in chosen.values() for epoch in epochs]
    first, final = min(every), max(every)
    span = f"epoch {first}" if first == final else f"epochs {first} to {final}"
    sentence = f"The best weights by validation are those of {span} of {last}."
    if ends and last > 1:
        sentence += (
            f" {listed(ends)} {is_or_are(ends)} best at the last epoch for at least one seed: "
            "longer training might help."
        )
    return sentence


def slowest_calls(group: Group) -> str:
    """How far the slowest calls lie from the median."""
    factors: dict[str, float] = {}
    for case in group.cases:
        entry = next(iter(case["latency"]), None)
        tail = entry and (entry.get("p99_s") or entry.get("p90_s"))
        if entry and tail:
            factors[group.names[case["id"]]] = tail / entry["median_s"]
    if not factors:
        return ""
    most, least = max(factors, key=factors.__getitem__), min(factors, key=factors.__getitem__)
    if most == least:
        return f"The slowest calls of {most} take {times(factors[most])} its median."
    return (
        f"The slowest calls take {times(factors[least])} ({least}) to {times(factors[most])} "
        f"({most}) the median of their case."
    )


def growth(group: Group) -> str:
    """The exponents of latency over the length."""
    found: dict[str, float] = {}
    for case in group.cases:
        fits = (case.get("exponents") or {}).get("latency") or []
        if fits:
            found[group.names[case["id"]]] = fits[0]["exponent"]
    if not found:
        return "Each figure against the length of the sequences."
    names = [f"{exponent:.2f} for {name}" for name, exponent in found.items()]
    return f"Latency grows with length to the power of {listed(names)} (1: linear)."


def left_out(group: Group) -> str:
    """Which cases are not drawn."""
    if not group.left_out:
        return ""
    return f"The {len(group.cases)} best of {counted(len(group.cases) + group.left_out, 'case')}."


def drift_of_calls(group: Group) -> str:
    """What the machine's steadiness was, as checked just before."""
    doctor = group.source.document["environment"].get("doctor")
    if not doctor:
        return "Each round against the median of all rounds of its case."
    noise = doctor["noise"]
    return (
        f"Just before, the same computation, repeated, varied by ±{100 * noise:.1f} %. What all "
        "cases share is the machine's; rounds are interleaved, so it affects all alike."
    )


def pairs_in_words(group: Group, found: Sequence[Mapping[str, Any]]) -> str:
    """How many pairs differ for certain."""
    differ = sum(each["verdict"] in ("better", "worse") for each in found)
    equal = sum(each["verdict"] == "equivalent" for each in found)
    few = sum(each["verdict"] == "too few seeds" for each in found)
    if few == len(found):
        return "Too few seeds to compare any pair."
    parts = [f"{differ} of {counted(len(found), 'pair')} {'differs' if differ == 1 else 'differ'}"]
    if equal:
        parts.append(f"{equal} {'is' if equal == 1 else 'are'} equivalent within the margin")
    rest = len(found) - differ - equal
    if rest:
        parts.append(f"{rest} cannot be told apart")
    return f"{listed(parts)}, after correction for all pairs."
