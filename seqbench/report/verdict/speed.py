"""The statements on latency and on the time of a training step."""

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


def speed_statement(
    found: Standing, setting: str, topic: str = "Latency", *, without: Sequence[str] = ()
) -> Statement:
    """Who is fastest, and how much longer the others take.

    Args:
        setting: where it was measured, such as ``batch 1``.
        without: labels of cases without a figure there.
    """
    leader = label(found.leader)
    time = _time(found.figure)
    missing = (
        f"{listed(without)} {'has' if len(without) == 1 else 'have'} no figure." if without else ""
    )
    if not found.rivals:
        return Statement(topic, leader, f": {time} at {setting}. {missing}".rstrip(), "plain")
    if len(found.those("untested")) == len(found.rivals):
        rest = f" has the lowest median at {setting}: {time}. The cases were not compared."
        return Statement(topic, leader, f"{rest} {missing}".rstrip(), "plain")
    if len(found.those("undecided")) == len(found.rivals):
        names = f"{leader} ({time}), {listed([_with_time(one) for one in found.rivals])}"
        rest = f" at {setting}: {names} cannot be told apart. {missing}".rstrip()
        return Statement(topic, "no difference", rest, "plain")
    verb = "is fastest" if len(found.those("worse")) == len(found.rivals) else "leads"
    sentences = [f" {verb} at {setting}: {time}."]
    equal = found.those("equivalent")
    if equal:
        margin = f"{100 * ((equal[0].margin or 1) - 1):g} %"
        sentences.append(f"{named(equal)} {is_or_are(equal)} equivalent (within {margin}).")
    untold = found.those("undecided", "contradictory")
    if untold:
        sentences.append(f"{named(untold)} {is_or_are(untold)} not distinguishable from it.")
    untested = found.those("untested")
    if untested:
        sentences.append(f"{named(untested)} {is_or_are(untested)} not compared.")
    slower = found.those("worse")
    if slower:
        sentences.append(_slower(slower))
    return Statement(topic, leader, " ".join(filter(None, [*sentences, missing])), "plain")


def _slower(rivals: Sequence[Rival]) -> str:
    """``lstm takes 1.20× as long (95 % CI 1.17–1.22), rnn 1.87×, gru 2.33×.``"""
    first, *others = [(label(one.case), one.effect or Estimate(0.0)) for one in rivals]
    interval = factor_interval(first[1])
    text = f"{first[0]} takes {times(first[1].value)} as long" + (
        f" ({interval})" if interval else ""
    )
    if len(others) > 3:
        name, effect = others[-1]
        return f"{text}, the other {len(others)} up to {times(effect.value)} ({name})."
    return ", ".join([text, *(f"{name} {times(effect.value)}" for name, effect in others)]) + "."


def _with_time(rival: Rival) -> str:
    return f"{label(rival.case)} ({_time(rival.figure)})"


def _time(figure: Estimate) -> str:
    unit = numbers.common_unit([figure.value], numbers.TIME)
    return f"{numbers.figure(figure.value / unit.factor)} {unit.name}"
