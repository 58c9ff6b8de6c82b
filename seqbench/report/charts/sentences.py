"""What one sees in each chart, in words made from the data and from the tests behind them.

A sentence claims no more than was tested. Where cases belong to several runs, which are not
compared, there is no sentence about who is ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqbench.quantities import Quantity
from seqbench.report import numbers
from seqbench.report.charts.source import MOST_ROWS, Found, Group, is_sound
from seqbench.report.columns.column import Column
from seqbench.report.columns.quality import metric_unit
from seqbench.report.columns.speed import (
    latency_at,
    latency_settings,
    named_settings,
    setting_words,
)
from seqbench.report.names import period_word, resample_count
from seqbench.report.parts import Part, PartMetric, lengths_of, part_names
from seqbench.report.text import clean, counted
from seqbench.report.verdict.statement import factor_interval, is_or_are, listed, times
from seqbench.summary.metric_pairs import TOO_FEW


def trade_offs(group: Group) -> str:
    """Which cases another one beats in the metric and in latency alike, for certain."""
    metric, latency = group.compared(group.table.metric), group.compared("latency")
    if group.data.runs > 1 or not metric or not latency:
        return ""
    both = _better(group, metric[0]) & _better(group, latency[0])
    beaten: dict[str, str] = {}
    for better, worse in sorted(both):
        beaten.setdefault(group.names[worse], group.names[better])
    what = f"{group.table.metric} and latency"
    tested = _tested(group, metric[0]) & _tested(group, latency[0])
    if not tested:
        return ""
    if not beaten:
        return f"No case is known to be worse than another in both {what}."
    lost = [f"{worse} is worse than {better}" for worse, better in beaten.items()]
    others = len(tested) > len(beaten)
    more = "; no other case is known to be worse in both." if others else "."
    return f"In both {what}, {listed(lost)}{more}"


def _better(group: Group, column: Column) -> set[tuple[str, str]]:
    """The pairs of case ids of which the first is better than the second for certain."""
    found = group.pairs(column)
    return {(e["a"], e["b"]) for e in found if e["verdict"] == "better"} | {
        (e["b"], e["a"]) for e in found if e["verdict"] == "worse"
    }


def _tested(group: Group, column: Column) -> set[str]:
    """The names of the cases that took part in a test."""
    found = [each for each in group.pairs(column) if each["p"] is not None]
    return {group.names[each[end]] for each in found for end in ("a", "b")}


def spread_of_seeds(group: Group) -> str:
    """How far the seeds of each case lie apart."""
    ranges: dict[str, float] = {}
    for case in group.cases:
        values = [t["metrics"]["value"] for t in group.trials(case) if t["status"] == "ok"]
        if len(values) > 1:
            ranges[group.names[case["id"]]] = max(values) - min(values)
    if not ranges:
        return "One seed each: nothing is known about how much seeds matter."
    what = "trials" if any(map(resample_count, group.cases)) else "seeds"
    most, least = max(ranges, key=ranges.__getitem__), min(ranges, key=ranges.__getitem__)
    if not ranges[most]:
        return f"All {what} of a case have the same figure."
    unit = "points" if group.share else metric_unit(group.metric)
    unit = f" {unit}" if unit else ""
    sentence = f"The {what} of {most} span {_span(ranges[most], group)}{unit}"
    if most != least:
        sentence += f", those of {least} {_span(ranges[least], group)}"
    lost = [group.names[case["id"]] for case in group.cases if not is_sound(case)]
    failed = f" Not all {what} of {listed(lost)} succeeded." if lost else ""
    return f"{sentence}.{failed}"


def _span(value: float, group: Group) -> str:
    return numbers.signed(value, group.share).lstrip("+")


def chosen_epochs(group: Group) -> str:
    """At which epochs the best weights were found."""
    chosen: list[int] = []
    at_end: dict[str, None] = {}
    good = [(case, t) for case in group.cases for t in group.trials(case) if t["status"] == "ok"]
    word = period_word(group.cases)
    for case, trial in good:
        best, curve = trial["metrics"].get("best_epoch"), group.data.curves.get(trial["id"], ())
        if best is not None:
            chosen.append(best)
            if len(curve) > 1 and best == curve[-1]["epoch"]:
                at_end[group.names[case["id"]]] = None
    if not good:
        return "No trial succeeded."
    if not chosen:
        return f"The weights of the last {word} count: there is no validation split."
    first, final = min(chosen), max(chosen)
    span = f"{word} {first}" if first == final else f"{word}s {first} to {final}"
    sentence = f"The best weights by validation are those of {span}."
    if at_end:
        names = list(at_end)
        sentence += (
            f" {listed(names)} {is_or_are(names)} best at the last epoch for at least one seed: "
            "longer training might help."
        )
    return sentence


def slow_calls(group: Group) -> str:
    """How far the slowest percent of calls lies from the median, at the first setting."""
    settings = latency_settings(group.cases)
    entries = {group.names[c["id"]]: latency_at(c, settings[0]) for c in group.cases} \
        if settings else {}  # fmt: skip
    factors = {
        name: entry["p99_s"] / entry["median_s"]
        for name, entry in entries.items()
        if entry.get("p99_s")
    }
    if not factors or len(factors) < sum(bool(entry) for entry in entries.values()):
        return ""
    at = setting_words(settings[0], named_settings(group.cases, settings))
    most, least = max(factors, key=factors.__getitem__), min(factors, key=factors.__getitem__)
    if most == least:
        return (
            f"At {at}, 1 % of the calls of {most} take at least {times(factors[most])} its median."
        )
    return (
        f"At {at}, 1 % of the calls take at least {times(factors[least])} ({least}) to "
        f"{times(factors[most])} ({most}) the median of their case."
    )


def drift_of_calls(group: Group) -> str:
    """How steady the machine was, as checked just before."""
    doctor = group.data.document["environment"].get("doctor")
    if not doctor:
        return "Each round against the median of all rounds of its case."
    noise = doctor["noise"]
    return (
        f"Just before, the same computation, repeated, varied by ±{100 * noise:.1f} %. What all "
        "cases share in a round comes from the machine."
    )


def growth_of_latency(group: Group, at: Mapping[str, Any], words: str) -> str:
    """The exponents of latency over the length at a setting, called ``words``; "" without any."""
    found = {
        group.names[case["id"]]: fit
        for case in group.cases
        for fit in (case.get("exponents") or {}).get("latency") or ()
        if all(fit.get(name) == value for name, value in at.items())
    }
    return _growth(f"Latency at {words}", [f"{_exponent(f)} ({n})" for n, f in found.items()])


def growth_of(group: Group, name: str, what: str) -> str:
    """The exponents of a figure over the length, by its key in the document; "" without any."""
    powers = {group.names[c["id"]]: (c.get("exponents") or {}).get(name) for c in group.cases}
    return _growth(what, [f"{p:.2f} ({n})" for n, p in powers.items() if p is not None])


def _growth(what: str, powers: list[str]) -> str:
    return f"{what} grows with the length to the power of {listed(powers)}." if powers else ""


def _exponent(fit: Found) -> str:
    """``0.68``, with its interval if it has one."""
    if fit["low"] is None or fit["high"] is None:
        return f"{fit['exponent']:.2f}"
    interval = numbers.Estimate(fit["exponent"], fit["low"], fit["high"])
    return f"{fit['exponent']:.2f}, {factor_interval(interval)}"


def metric_on_parts(group: Group, metric: PartMetric, parts: Sequence[Part], *, apart: bool) -> str:
    """The figure of each case on the shortest and on the longest part, or of parts whose lengths
    are not ``apart`` the smallest and the largest; and where there is none.
    """
    found, lacking = [], []
    for case in group.cases:
        name, known = group.names[case["id"]], [metric.estimate(case, part) for part in parts]
        if any(one is None for one in known):
            lacking.append(name)
            continue
        named = list(zip([one.value for one in known if one], part_names(parts), strict=True))
        low, high = (named[0], named[-1]) if apart else (min(named), max(named))
        texts = [_on_part(*end, metric.about, named=not apart) for end in (low, high)]
        found.append(f"from {texts[0]} to {texts[1]} ({name})")
    sentences = []
    if found:
        where = f"Over {len(parts)} test sets"
        if apart:
            where = f"From {lengths_of(parts[0])} to {lengths_of(parts[-1])} steps"
        verb = "goes" if apart else "ranges"
        sentences.append(f"{where}, {clean(metric.about.name)} {verb} {listed(found)}.")
    lost = [group.names[case["id"]] for case in group.cases if not is_sound(case)]
    sentences += [f"Not all seeds of {listed(lost)} succeeded."] if lost else []
    sentences += [f"Not every part has a figure of {listed(lacking)}."] if lacking else []
    return " ".join(sentences)


def _on_part(value: float, part: str, about: Quantity, *, named: bool) -> str:
    """``87.4 %``, or ``87.4 % on noisy``."""
    text = f"{numbers.figure(value)} {metric_unit(about)}".rstrip()
    if about.share:  # 99.96 % must not read 100.0 %
        figure = [numbers.Estimate(value)]
        text = f"{numbers.percentages(figure, numbers.percent_decimals(figure))[0]} %"
    return f"{text} on {part}" if named else text


def pairs_in_words(group: Group, found: Sequence[Found]) -> str:
    """How many pairs differ for certain."""
    differ = sum(each["verdict"] in ("better", "worse") for each in found)
    equal = sum(each["verdict"] == "equivalent" for each in found)
    few = sum(each["verdict"] in TOO_FEW for each in found)
    cut = len(group.ranked) > MOST_ROWS
    of = f" Shown are the {MOST_ROWS} best cases." if cut else ""
    if few == len(found):
        return f"{found[0]['verdict'].capitalize()} to compare any pair.{of}"
    parts = [f"{differ} of {counted(len(found), 'pair')} {'differs' if differ == 1 else 'differ'}"]
    if equal:
        parts.append(f"{equal} {'is' if equal == 1 else 'are'} equivalent within the margin")
    rest = len(found) - differ - equal
    if rest:
        parts.append(f"{rest} {'is' if rest == 1 else 'are'} not distinguishable")
    runs = " of the same run" if group.data.runs > 1 else ""
    return f"{listed(parts)}, after correction for all pairs{runs}.{of}"
