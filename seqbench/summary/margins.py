"""Differences too small to matter: which cases are equivalent within the suite's ``margin``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from seqbench.records import Comparison
from seqbench.stats.holm import ALPHA, holm
from seqbench.stats.welch import Difference
from seqbench.summary.metric_pairs import families


def with_margins(
    comparisons: Sequence[Comparison],
    cases: Sequence[Mapping[str, Any]],
    margins: Mapping[str, Mapping[str, float]],
) -> list[Comparison]:
    """Test each pair for a difference within the margin of its quantity.

    Two cases are ``equivalent`` if that test (TOST, Schuirmann 1987, with the error and degrees of
    freedom of their comparison) is significant at 5 %, corrected for all pairs of their quantity,
    settings, dataset and device (Holm). This takes precedence over ``better`` and ``worse``: such
    a difference is real, but does not matter.

    Args:
        comparisons: all pairs of a run.
        cases: as in the document.
        margins: by quantity, then by scale: a difference, or a factor above 1.
    """
    group = {case["id"]: number for number, some in enumerate(families(cases)) for case in some}
    ps: dict[Any, dict[int, float]] = {}
    for number, found in enumerate(comparisons):
        margin = _of(found, margins).get(found.scale)
        if margin is not None and found.df is not None and found.low is not None:
            at = json.dumps(found.settings, sort_keys=True)
            within = _difference(found).p_within(math.log(margin) if _is_ratio(found) else margin)
            ps.setdefault((found.quantity, at, group.get(found.a)), {})[number] = within
    results = list(comparisons)
    for family in ps.values():
        for number, p in zip(family, holm(list(family.values())), strict=True):
            found = comparisons[number]
            results[number] = replace(
                found,
                margin=_of(found, margins)[found.scale],
                p_equivalent=p,
                verdict="equivalent" if p < ALPHA else found.verdict,
            )
    return results


def _of(found: Comparison, margins: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
    """The margin of a quantity, or of a metric with any parameters, by scale."""
    name = found.quantity.partition(" ")[0]
    return margins.get(found.quantity) or margins.get(name) or {}


def _is_ratio(found: Comparison) -> bool:
    return found.scale == "ratio"


def _difference(found: Comparison) -> Difference:
    """The comparison as a difference, of logarithms for a ratio, as it was tested."""
    taken = math.log if _is_ratio(found) else float
    assert found.low is not None
    assert found.high is not None
    assert found.df is not None
    ends = taken(found.low), taken(found.high)
    return Difference.of_interval(taken(found.effect), *ends, found.df)
