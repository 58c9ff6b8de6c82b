"""The statement on latency."""

from __future__ import annotations

from collections.abc import Sequence

from seqbench.report import numbers
from seqbench.report.numbers import Estimate
from seqbench.report.text import label
from seqbench.report.verdict.standing import Rival, Standing
from seqbench.report.verdict.statement import (
    Statement,
    factor_interval,
    is_or_are,
    listed,
    named,
    times,
)


def speed_statement(found: Standing, setting: str) -> Statement:
    """Who is fastest, and how much longer the others take.

    Args:
        setting: where it was measured, such as ``batch 1``.
    """
    topic, leader = "Latency", label(found.leader)
    time = _time(found.figure)
    if not found.rivals:
        return Statement(topic, leader, f": {time} at {setting}.", "plain")
    if len(found.those("untested")) == len(found.rivals):
        rest = f" has the lowest median at {setting}: {time}. The cases were not compared in pairs."
        return Statement(topic, leader, rest, "uncertain")
    level = found.those("undecided", "equivalent", "too few", "untested")
    slower = found.those("worse")
    if not slower:
        names = f"{leader} ({time}), {listed([_with_time(one) for one in level])}"
        rest = f" at {setting}: {names} cannot be told apart."
        return Statement(topic, "no difference", rest, "uncertain")
    sentences = [f" is fastest at {setting}: {time}."]
    equal = found.those("equivalent")
    if equal:
        margin = f"{100 * ((equal[0].margin or 1) - 1):g} %"
        sentences.append(f"{named(equal)} {is_or_are(equal)} equivalent (within {margin}).")
    untold = [one for one in level if one.relation != "equivalent"]
    if untold:
        sentences.append(f"{named(untold)} {is_or_are(untold)} not distinguishable from it.")
    sentences.append(_slower(slower))
    return Statement(topic, leader, " ".join(sentences), "plain")


def _slower(rivals: Sequence[Rival]) -> str:
    """``lstm takes 1.20× as long (95 % CI 1.17–1.22), rnn 1.87×, gru 2.33×.``"""
    first, *others = [(label(one.case), one.effect or Estimate(0.0)) for one in rivals]
    interval = factor_interval(first[1])
    text = f"{first[0]} takes {times(first[1].value)} as long" + (
        f" ({interval})" if interval else ""
    )
    if len(others) > 3:
        name, effect = others[-1]
        return f"{text}, {len(others) - 1} others up to {name}, {times(effect.value)}."
    return ", ".join([text, *(f"{name} {times(effect.value)}" for name, effect in others)]) + "."


def _with_time(rival: Rival) -> str:
    return f"{label(rival.case)} ({_time(rival.figure)})"


def _time(figure: Estimate) -> str:
    unit = numbers.common_unit([figure.value], numbers.TIME)
    return f"{numbers.figure(figure.value / unit.factor)} {unit.name}"
