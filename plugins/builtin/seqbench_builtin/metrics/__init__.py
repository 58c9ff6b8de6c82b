"""The metrics shipped with seqbench, in addition to accuracy and mse."""

from __future__ import annotations

import seqbench

METERS = "seqbench_builtin.metrics.meters"


@seqbench.hookimpl
def seqbench_metrics() -> list[seqbench.MetricSpec]:
    return [
        seqbench.MetricSpec(
            "cross_entropy", f"{METERS}:CrossEntropy", higher_is_better=False,
            description="Mean negative log-likelihood of the correct class, in nats",
        ),
        seqbench.MetricSpec(
            "top_k", f"{METERS}:TopK", {"k": seqbench.Param(5, minimum=1)}, share=True,
            description="Fraction with the correct class among the k highest scores",
        ),
        seqbench.MetricSpec(
            "mae", f"{METERS}:MeanAbsoluteError", targets=("value", "value_per_step"),
            higher_is_better=False, description="Mean absolute error",
        ),
    ]  # fmt: skip
