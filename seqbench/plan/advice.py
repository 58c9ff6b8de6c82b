"""What a run of a plan cannot show, known before it starts."""

from __future__ import annotations

from collections.abc import Iterator

from seqbench.plan.cases import Case
from seqbench.plan.expand import Plan
from seqbench.plugins.choice import to_json
from seqbench.records import fingerprint
from seqbench.stats.holm import MOST_CASES
from seqbench.stats.resamples import LEAST_RESAMPLES
from seqbench.stats.welch import LEAST_SEEDS
from seqbench.suite.keys import RESAMPLED


def advice(plan: Plan) -> list[str]:
    """Why the run cannot say which of its cases is best, one line each; usually none."""
    return [*_few_seeds(plan), *_few_resamples(plan), *_many_cases(plan)]


def _few_seeds(plan: Plan) -> Iterator[str]:
    seeds = len(plan.suite.seeds)
    families = [family for family in _families(plan) if len(family) > 1]
    if seeds < LEAST_SEEDS and any(family[0].resample is None for family in families):
        number = "1 seed" if seeds == 1 else f"{seeds} seeds"
        yield (
            f"{number} cannot show which model is better: a verdict on a metric takes at least "
            f"{LEAST_SEEDS} (--seeds {LEAST_SEEDS}: {LEAST_SEEDS / seeds:g} times the training)"
        )


def _few_resamples(plan: Plan) -> Iterator[str]:
    datasets: dict[str, set[str]] = {}
    for family in _families(plan):
        case = family[0]
        if len(family) > 1 and case.resample is not None:
            datasets.setdefault(case.resample.dataset_label, set()).add(case.dataset_label)
    for name, resamples in datasets.items():
        if len(resamples) < LEAST_RESAMPLES:
            yield (
                f"{len(resamples)} resamples of {name} cannot show which model is better: a "
                f"verdict on a metric takes at least {LEAST_RESAMPLES}; list more values of its "
                f"{RESAMPLED}"
            )


def _many_cases(plan: Plan) -> Iterator[str]:
    most = max((len(family) for family in _families(plan)), default=0)
    if most > MOST_CASES:
        yield (
            f"{most} cases on one dataset are too many to be compared in pairs "
            f"(at most {MOST_CASES}): leave some out with --model"
        )


def _families(plan: Plan) -> list[list[Case]]:
    """The cases of each dataset, primary metric and device: only these are compared."""
    found: dict[tuple[str, str], list[Case]] = {}
    for case in plan.cases:
        primary = case.primary_metric.id if case.primary_metric else ""
        dataset = fingerprint([case.dataset_label, to_json(case.dataset), primary])
        found.setdefault((dataset, case.device), []).append(case)
    return list(found.values())
