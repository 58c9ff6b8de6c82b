"""The statement on the metric of a dataset."""

from __future__ import annotations

from collections.abc import Sequence

from seqbench.quantities import Quantity
from seqbench.report import numbers
from seqbench.report.columns.quality import metric_unit
from seqbench.report.names import MOST_NAMED
from seqbench.report.numbers import Estimate
from seqbench.report.text import clean, label
from seqbench.report.verdict.standing import Rival, Standing
from seqbench.report.verdict.statement import Statement, is_or_are, listed, named, times
from seqbench.stats.holm import ALPHA, MOST_CASES
from seqbench.stats.welch import LEAST_SEEDS


def quality_statement(
    found: Standing, about: Quantity, *, few: str, excluded: Sequence[str], settle: str
) -> Statement:
    """Who leads in the metric, by how much, and whether that is certain.

    Args:
        few: the fewest successful seeds, or resamples, of a case, as text.
        excluded: labels of cases that are left out, because a seed failed.
        settle: what would show more, as a sentence; may be empty.
    """
    topic = clean(about.name)  # that of a plugin's metric as it is written
    topic = topic.capitalize() if about.name == "accuracy" else topic
    leader = label(found.leader)
    left_out = _left_out(excluded)
    if not found.rivals:
        rest = f": {_with_interval(found.figure, about)}."
        return Statement(topic, leader, _joined(rest, left_out), "plain")
    if len(found.those("untested")) == len(found.rivals):
        rest = f" has the highest mean: {_figure(found.figure, about)}. {_why_not_compared(found)}"
        if not about.higher_is_better:
            rest = rest.replace("highest", "lowest", 1)
        return Statement(topic, leader, _joined(rest, left_out), "uncertain")
    if len(found.those("too few")) == len(found.rivals):
        verb = "is" if few.startswith("1 ") else "are"
        rest = f": {few} {verb} too few to compare {_all_figures(found, about)}."
        return Statement(topic, "no winner", _joined(rest, left_out, settle), "uncertain")
    if not found.those("worse", "equivalent", "contradictory", "too few", "untested"):
        rest = f": {_nothing_certain(found, about)}"
        return Statement(topic, "no winner", _joined(rest, left_out, settle), "uncertain")
    certain = len(found.those("worse")) == len(found.rivals) and not excluded
    among = " of the cases without failures" if excluded else ""
    verb = "is best" if len(found.those("worse")) == len(found.rivals) else "leads"
    rest = f" {verb}{among}: {_with_interval(found.figure, about)}."
    sentences = _joined(rest, *_groups(found, about), left_out, settle)
    return Statement(topic, leader, sentences, "certain" if certain else "uncertain")


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _left_out(excluded: Sequence[str]) -> str:
    if not excluded:
        return ""
    return f"{listed(excluded)} {is_or_are(excluded)} left out, since a seed failed."


def _why_not_compared(found: Standing) -> str:
    count = len(found.rivals) + 1
    if count > MOST_CASES:
        return f"{count} cases are too many to be compared (at most {MOST_CASES})."
    return "The cases were not compared."


def _nothing_certain(found: Standing, about: Quantity) -> str:
    """What to say if the leader is distinguishable from none."""
    count, figure = len(found.rivals) + 1, _figure(found.figure, about)
    if all(rival.figure.value == found.figure.value for rival in found.rivals):
        return f"all {count} cases reach {figure}, so this task does not separate them."
    if count > MOST_NAMED + 1:
        return (
            f"{label(found.leader)} has the best mean, {figure}, but is not distinguishable from "
            f"any of the {count - 1} others{_almost(found.rivals)}."
        )
    return f"{_all_figures(found, about)} cannot be told apart{_almost(found.rivals)}."


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
        names, margin = _apart(found, equal, about), _margin(equal[0], about)
        sentences.append(f"{names} {is_or_are(equal)} equivalent (within {margin}).")
    undecided = found.those("undecided")
    if undecided:
        names = _apart(found, undecided, about)
        verb = is_or_are(undecided)
        sentences.append(f"{names} {verb} not distinguishable from it{_almost(undecided)}.")
    mixed = found.those("contradictory")
    if mixed:
        verb = "has" if len(mixed) == 1 else "have"
        sentences.append(f"{named(mixed)} typically {verb} better figures, but not on average.")
    few = found.those("too few")
    if few:
        verb = "has" if len(few) == 1 else "have"
        sentences.append(f"{named(few)} {verb} fewer than {LEAST_SEEDS} {found.unit}s.")
    untested = found.those("untested")
    if untested:
        sentences.append(f"{named(untested)} {is_or_are(untested)} not compared.")
    return sentences


def _all_figures(found: Standing, about: Quantity) -> str:
    """``gru (88.3 %), lstm (87.8 %) and rnn (85.5 %)``."""
    names = [f"{label(found.leader)} ({_figure(found.figure, about)})"]
    names += [f"{label(r.case)} ({_figure(r.figure, about)})" for r in found.rivals]
    return listed(names)


def _almost(rivals: Sequence[Rival]) -> str:
    """A remark on those whose difference is significant only without the correction."""
    near = [r for r in rivals if r.relation == "undecided" and r.p is not None and r.p < ALPHA]
    if not near:
        return ""
    who = "" if len(near) == len(rivals) else f"{len(near)} of them: "
    pairs = "1 pair" if near[0].pairs == 1 else f"{near[0].pairs:,} pairs"
    return f" ({who}p < 0.05, but not after correction for {pairs})"


def _with_interval(figure: Estimate, about: Quantity) -> str:
    """``88.3 % (95 % CI 87.3–89.3)``; figures without any spread have no interval."""
    low, high = figure.low, figure.high
    if low is None or high is None or low == high:
        return _figure(figure, about)
    if about.share:
        decimals = numbers.percent_decimals([figure])
        ends = [f"{100 * max(0.0, min(1.0, end)):.{decimals}f}" for end in (low, high)]
    else:
        is_error = not about.higher_is_better and figure.value >= 0  # which is not negative
        ends = [numbers.figure(max(0.0, end) if is_error else end) for end in (low, high)]
    return f"{_figure(figure, about)} (95 % CI {'–'.join(ends)})"


def _figure(figure: Estimate, about: Quantity) -> str:
    if about.share:
        return f"{100 * figure.value:.{numbers.percent_decimals([figure])}f} %"
    return f"{numbers.figure(figure.value)} {metric_unit(about)}".rstrip()


def _apart(found: Standing, rivals: Sequence[Rival], about: Quantity) -> str:
    """``lstm (-0.5 points)``, or ``lstm (typically 8.6× the mse)``, for each rival."""
    names = []
    for number, rival in enumerate(rivals):
        distance = _distance(found, rival, about, unit=number == 0)
        names.append(f"{label(rival.case)} ({distance})")
    return listed(names)


def _distance(found: Standing, rival: Rival, about: Quantity, *, unit: bool) -> str:
    if rival.effect is None:
        return _figure(rival.figure, about)
    if found.scale == "ratio":
        factor = times(rival.effect.value)
        return f"typically {factor} the {clean(about.name)}" if unit else factor
    text = numbers.signed(rival.effect.value, about.share)
    named = "points" if about.share else metric_unit(about)
    return f"{text} {named}" if unit and named else text


def _margin(rival: Rival, about: Quantity) -> str:
    margin = rival.margin or 0.0
    if about.share:
        return f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"
    return f"{margin:g}" if about.higher_is_better else f"{100 * (margin - 1):g} %"
