"""The statement on the metric of a dataset."""

from __future__ import annotations

from collections.abc import Sequence

from seqbench.quantities import Quantity
from seqbench.report import numbers
from seqbench.report.names import MOST_NAMED
from seqbench.report.numbers import Estimate
from seqbench.report.text import clean, counted, label
from seqbench.report.verdict.standing import Rival, Standing
from seqbench.report.verdict.statement import Statement, is_or_are, listed, times
from seqbench.stats.holm import ALPHA
from seqbench.stats.welch import LEAST_SEEDS

#: More seeds than this are not proposed: the difference is too small to matter to most.
MOST_SEEDS = 30


def quality_statement(found: Standing, about: Quantity, seeds: int, settle: str) -> Statement:
    """Who leads in the metric, by how much, and whether that is certain.

    Args:
        seeds: the fewest successful seeds of a case.
        settle: what would show more, as a sentence; may be empty.
    """
    topic = clean(about.name)
    topic = topic[0].upper() + topic[1:] if about.name == "accuracy" else topic
    if not found.rivals:
        return Statement(topic, label(found.leader), f": {_with_interval(found, about)}.", "plain")
    if seeds < LEAST_SEEDS and found.those("too few"):
        return Statement(topic, *_too_few(found, about, seeds, settle), "uncertain")
    if not found.those("worse", "equivalent"):
        return Statement(topic, *_nothing_certain(found, about, settle), "uncertain")
    certain = not found.those("undecided", "too few", "untested", "equivalent")
    parts = [*_groups(found, about)]
    if settle:
        parts.append(settle)
    verb = " is best: " if certain else " leads: "
    rest = f"{verb}{_with_interval(found, about)}. {' '.join(parts)}"
    return Statement(topic, label(found.leader), rest, "certain" if certain else "uncertain")


def _groups(found: Standing, about: Quantity) -> list[str]:
    """A sentence for each kind of rival."""
    sentences = []
    worse = found.those("worse")
    if worse:
        names = _apart(found, worse, about)
        all_others = len(worse) == len(found.rivals) > MOST_NAMED
        text = f"{names} {is_or_are(worse)} worse."
        sentences.append(f"All others are worse: {names}." if all_others else text)
    equal = found.those("equivalent")
    if equal:
        margin = _margin(equal[0], about)
        sentences.append(
            f"{_apart(found, equal, about)} {is_or_are(equal)} equivalent (within {margin})."
        )
    undecided = found.those("undecided")
    if undecided:
        names = _apart(found, undecided, about)
        sentences.append(
            f"{names} {is_or_are(undecided)} not distinguishable from it{_almost(undecided)}."
        )
    few = found.those("too few", "untested")
    if few:
        names = listed([label(rival.case) for rival in few])
        sentences.append(f"{names} {is_or_are(few)} not compared.")
    return sentences


def _nothing_certain(found: Standing, about: Quantity, settle: str) -> tuple[str, str]:
    """Subject and rest if the leader is distinguishable from none."""
    names = [f"{label(found.leader)} ({_figure(found.figure, about)})"]
    names += [f"{label(r.case)} ({_figure(r.figure, about)})" for r in found.rivals]
    text = f": {listed(names)} cannot be told apart{_almost(found.rivals)}."
    return "no winner", " ".join(filter(None, [text, settle]))


def _too_few(found: Standing, about: Quantity, seeds: int, settle: str) -> tuple[str, str]:
    """Subject and rest if there are too few seeds to compare any."""
    names = [f"{label(found.leader)} {_figure(found.figure, about)}"]
    names += [f"{label(r.case)} {_figure(r.figure, about)}" for r in found.rivals]
    proves = f" with {counted(seeds, 'seed')}, which proves nothing: {listed(names)}."
    return "no winner", " ".join(filter(None, [proves, settle]))


def _almost(rivals: Sequence[Rival]) -> str:
    """A remark on those whose difference is significant only without the correction."""
    near = [r for r in rivals if r.relation == "undecided" and r.p is not None and r.p < ALPHA]
    if not near:
        return ""
    who = "" if len(near) == len(rivals) else f"{listed([label(r.case) for r in near])}: "
    return f" ({who}p < 0.05, but not after correction for {counted(near[0].pairs, 'pair')})"


def _with_interval(found: Standing, about: Quantity) -> str:
    """``88.3 % (95 % CI 87.3–89.3)``."""
    figure = found.figure
    if figure.low is None or figure.high is None:
        return _figure(figure, about)
    low, high = figure.low, figure.high
    if about.share:
        decimals = numbers.percent_decimals([figure])
        ends = [f"{100 * max(0.0, min(1.0, end)):.{decimals}f}" for end in (low, high)]
    else:  # an error is not negative
        ends = [numbers.figure(max(0.0, end) if figure.value >= 0 else end) for end in (low, high)]
    return f"{_figure(figure, about)} (95 % CI {'–'.join(ends)})"


def _figure(figure: Estimate, about: Quantity) -> str:
    if about.share:
        return f"{100 * figure.value:.{numbers.percent_decimals([figure])}f} %"
    return numbers.figure(figure.value)


def _apart(found: Standing, rivals: Sequence[Rival], about: Quantity) -> str:
    """``lstm (-0.5 points)``, or ``lstm (8.6× the error)``, for each rival."""
    names = []
    for number, rival in enumerate(rivals):
        distance = _distance(found, rival, about, unit=number == 0)
        names.append(f"{label(rival.case)} ({distance})")
    return listed(names)


def _distance(found: Standing, rival: Rival, about: Quantity, *, unit: bool) -> str:
    if rival.effect is None:
        return _figure(rival.figure, about)
    if found.scale == "ratio":
        return times(rival.effect.value) + (f" the {clean(about.name)}" if unit else "")
    text = numbers.signed(rival.effect.value, about.share)
    return f"{text} points" if unit and about.share else text


def _margin(rival: Rival, about: Quantity) -> str:
    margin = rival.margin or 0.0
    if about.share:
        return f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"
    return f"{100 * (margin - 1):g} %" if margin > 1 else f"{margin:g}"
