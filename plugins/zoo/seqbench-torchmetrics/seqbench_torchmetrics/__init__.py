import seqbench

SEQBENCH_API = 5

CLASSES = ("label", "label_per_step", "labels", "labels_per_step")
ONE_LABEL = ("label", "label_per_step")
NUMBERS = ("value", "value_per_step")

#: Name of the metric of torchmetrics: whether higher is better, whether it is a fraction, targets.
METRICS = {
    "Accuracy": (True, True, CLASSES),
    "AUROC": (True, False, CLASSES),
    "AveragePrecision": (True, False, CLASSES),
    "CalibrationError": (False, False, ONE_LABEL),
    "CohenKappa": (True, False, ONE_LABEL),
    "F1Score": (True, True, CLASSES),
    "HammingDistance": (False, True, CLASSES),
    "HingeLoss": (False, False, ONE_LABEL),
    "JaccardIndex": (True, True, CLASSES),
    "MatthewsCorrCoef": (True, False, CLASSES),
    "Precision": (True, True, CLASSES),
    "Recall": (True, True, CLASSES),
    "Specificity": (True, True, CLASSES),
    "ConcordanceCorrCoef": (True, False, NUMBERS),
    "ExplainedVariance": (True, False, NUMBERS),
    "KendallRankCorrCoef": (True, False, NUMBERS),
    "LogCoshError": (False, False, NUMBERS),
    "MeanAbsolutePercentageError": (False, False, NUMBERS),
    "MeanSquaredLogError": (False, False, NUMBERS),
    "PearsonCorrCoef": (True, False, NUMBERS),
    "R2Score": (True, False, NUMBERS),
    "RelativeSquaredError": (False, False, NUMBERS),
    "SpearmanCorrCoef": (True, False, NUMBERS),
    "SymmetricMeanAbsolutePercentageError": (False, False, NUMBERS),
    "WeightedMeanAbsolutePercentageError": (False, False, NUMBERS),
}

#: The others use only which classes are predicted.
OF_PROBABILITIES = ("AUROC", "AveragePrecision", "CalibrationError", "HingeLoss")


@seqbench.hookimpl
def seqbench_metrics():
    return [
        seqbench.MetricSpec(
            f"torchmetrics.{name}",
            build=f"seqbench_torchmetrics.meters:{name}",
            targets=targets,
            higher_is_better=higher,
            share=share,
            needs="probabilities" if name in OF_PROBABILITIES else "classes",
            description=f"{name} of torchmetrics, {_mean(name, targets)}",
        )
        for name, (higher, share, targets) in METRICS.items()
    ]


def _mean(name, targets):
    if targets == NUMBERS:
        return "mean over the outputs"
    overall = ("CalibrationError", "CohenKappa", "HingeLoss", "MatthewsCorrCoef")
    return "over all classes" if name in overall else "unweighted mean over the classes"
