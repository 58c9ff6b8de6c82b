"""What a run of a plan cannot show, known before it starts."""

from __future__ import annotations

from collections.abc import Iterator

from seqbench.plan.cases import Case
from seqbench.plan.expand import Plan
from seqbench.plugins.choice import to_json
from seqbench.records import fingerprint
from seqbench.stats.holm import MOST_CASES
from seqbench.stats.welch import LEAST_SEEDS


def advice(plan: Plan) -> list[str]:
    """Why the run cannot say which of its cases is best, one line each; usually none."""
    return [*_few_seeds(plan), *_many_cases(plan)]


def _few_seeds(plan: Plan) -> Iterator[str]:
    seeds = len(plan.suite.seeds)
    if seeds < LEAST_SEEDS and any(len(family) > 1 for family in _families(plan)):
        number = "1 seed" if seeds == 1 else f"{seeds} seeds"
        yield (
            f"{number} cannot show which model is better: a verdict on a metric takes at least "
            f"{LEAST_SEEDS} (--seeds {LEAST_SEEDS}: {LEAST_SEEDS / seeds:g} times the training)"
        )


def _many_cases(plan: Plan) -> Iterator[str]:
    most = max((len(family) for family in _families(plan)), default=0)
    if most > MOST_CASES:
        yield (
            f"{most} cases on one dataset are too many to be compared in pairs "
            f"(at most {MOST_CASES}): leave some out with --model"
        )


def _families(plan: Plan) -> list[list[Case]]:
    """The cases of each dataset and device: only these are compared."""
    found: dict[tuple[str, str], list[Case]] = {}
    for case in plan.cases:
        dataset = fingerprint([case.dataset_label, to_json(case.dataset)])
        found.setdefault((dataset, case.device), []).append(case)
    return list(found.values())
