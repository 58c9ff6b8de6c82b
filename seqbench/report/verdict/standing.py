"""The leading case in one quantity, and how each other case compares with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from seqbench.report.columns.column import Case
from seqbench.report.names import unit_of
from seqbench.report.numbers import Estimate
from seqbench.stats.holm import ALPHA
from seqbench.summary.metric_pairs import TOO_FEW

Found = Mapping[str, Any]

#: Compared with the leader: worse, equivalent within the suite's margin, not distinguishable,
#: contradictory (significantly different, but the figures in the table have the opposite order),
#: or not tested, because there are too few seeds or no comparison.
Relation = Literal["worse", "equivalent", "undecided", "contradictory", "too few", "untested"]

RELATIONS: Mapping[str, Relation] = {
    "better": "contradictory",
    "worse": "worse",
    "equivalent": "equivalent",
    "no difference": "undecided",
    **dict.fromkeys(TOO_FEW, "too few"),
}


@dataclass(frozen=True)
class Rival:
    """A case compared with the leader.

    Args:
        effect: its figure minus the leader's, or divided by it, with the 95 % interval; None
            without a comparison.
        p, needed, margin: as in :class:`seqbench.records.Comparison`.
        pairs: number of pairs for which p values were corrected.
    """

    case: Case
    figure: Estimate
    relation: Relation
    effect: Estimate | None = None
    p: float | None = None
    needed: int | None = None
    margin: float | None = None
    pairs: int = 0


@dataclass(frozen=True)
class Standing:
    """The leader and the others, best figure first; ``scale`` is that of the comparisons."""

    leader: Case
    figure: Estimate
    rivals: tuple[Rival, ...]
    scale: Literal["ratio", "difference"]

    @property
    def unit(self) -> str:
        """What the independent figures of a metric are: ``seed``, or ``resample``."""
        return unit_of(self.leader)

    def those(self, *relations: Relation) -> list[Rival]:
        """The rivals with one of these relations."""
        return [rival for rival in self.rivals if rival.relation in relations]


def standing(
    cases: Sequence[Case],
    figures: Mapping[str, Estimate],
    comparisons: Iterable[Found],
    *,
    higher_is_better: bool,
) -> Standing | None:
    """Rank cases by their figures, and compare each with the leader.

    Args:
        cases: of one dataset and device.
        figures: by case id; the others are omitted.
        comparisons: of the quantity at its settings; each pair once, in any order.

    Returns:
        None without any figure.
    """
    sign = -1 if higher_is_better else 1
    ranked = sorted(
        (case for case in cases if case["id"] in figures),
        key=lambda case: sign * figures[case["id"]].value,
    )
    if not ranked:
        return None
    leader, *others = ranked
    found = list(comparisons)
    pairs = sum(each["p"] is not None for each in found)
    by_rival = {
        (each["b"] if each["a"] == leader["id"] else each["a"]): each
        for each in found
        if leader["id"] in (each["a"], each["b"])
    }
    return Standing(
        leader,
        figures[leader["id"]],
        tuple(
            _rival(case, figures[case["id"]], by_rival.get(case["id"]), pairs) for case in others
        ),
        found[0]["scale"] if found else "difference",
    )


def _rival(case: Case, figure: Estimate, found: Found | None, pairs: int) -> Rival:
    if found is None:
        return Rival(case, figure, "untested")
    turned = found["a"] != case["id"]
    verdict = found["verdict"]
    if turned:
        verdict = {"better": "worse", "worse": "better"}.get(verdict, verdict)
    relation = RELATIONS[verdict]
    corrected = found.get("p_corrected")
    if relation == "undecided" and corrected is not None and corrected < ALPHA:
        relation = "contradictory"
    return Rival(
        case,
        figure,
        relation,
        effect=_effect(found, turned),
        p=found["p"],
        needed=found.get("needed"),
        margin=found.get("margin"),
        pairs=pairs,
    )


def _effect(found: Found, turned: bool) -> Estimate:
    """The effect of ``a``, or if ``turned`` that of ``b``."""
    ends = [found["low"], found["high"]]
    if not turned:
        return Estimate(found["effect"], *ends)
    if found["scale"] == "difference":
        low, high = (None if end is None else -end for end in reversed(ends))
        return Estimate(-found["effect"], low, high)
    low, high = (None if end is None else _inverse(end) for end in reversed(ends))
    return Estimate(_inverse(found["effect"]), low, high)


def _inverse(value: float) -> float:
    return 1 / value if value else math.inf
