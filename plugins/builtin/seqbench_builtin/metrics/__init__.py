"""The metrics shipped with seqbench, in addition to accuracy and mse."""

from __future__ import annotations

import seqbench

METERS = "seqbench_builtin.metrics.meters"

CLASSES = ("label", "label_per_step", "labels", "labels_per_step")

NUMBERS = ("value", "value_per_step")


METRICS = [
    seqbench.MetricSpec(
        "cross_entropy", f"{METERS}:CrossEntropy", higher_is_better=False, unit="nats",
        description="Mean negative log-likelihood of the correct class, in nats",
    ),
    seqbench.MetricSpec(
        "bits_per_token", f"{METERS}:BitsPerToken", higher_is_better=False, unit="bits",
        description="The same in bits; with characters as tokens, bits per character",
    ),
    seqbench.MetricSpec(
        "perplexity", f"{METERS}:Perplexity", higher_is_better=False,
        description="Exponential of the cross-entropy",
    ),
    seqbench.MetricSpec(
        "top_k", f"{METERS}:TopK", {"k": seqbench.Param(5, minimum=1)}, share=True,
        needs="scores",
        description="Fraction with the correct class among the k highest scores",
    ),
    seqbench.MetricSpec(
        "macro_f1", f"{METERS}:MacroF1", targets=CLASSES, share=True,
        needs="classes",
        description="Unweighted mean of the classes' F1 scores",
    ),
    seqbench.MetricSpec(
        "auroc", f"{METERS}:Auroc", targets=CLASSES,
        description="Area under the ROC curve, mean of each class against the others",
    ),
    seqbench.MetricSpec(
        "exact_match", f"{METERS}:ExactMatch", targets=("label_per_step", "labels_per_step"),
        share=True, needs="classes",
        description="Fraction of the sequences with every step correct",
    ),
    seqbench.MetricSpec(
        "mae", f"{METERS}:MeanAbsoluteError", targets=NUMBERS, higher_is_better=False,
        description="Mean absolute error",
    ),
    seqbench.MetricSpec(
        "rmse", f"{METERS}:RootMeanSquaredError", targets=NUMBERS, higher_is_better=False,
        description="Root of the mean squared error",
    ),
    seqbench.MetricSpec(
        "mase", f"{METERS}:Mase",
        {
            "period": seqbench.Param(1, minimum=1, help="steps of a season; 1: none"),
            "outputs": seqbench.Param(
                "steps", choices=("steps", "variables"),
                help="several values: the next steps of a series, or a series each",
            ),
        },
        targets=NUMBERS, higher_is_better=False,
        description="Mean absolute error ÷ that of the naive forecast in training",
    ),
]  # fmt: skip


@seqbench.hookimpl
def seqbench_metrics() -> list[seqbench.MetricSpec]:
    return METRICS
