import seqbench

SEQBENCH_API = 2


@seqbench.hookimpl
def seqbench_metrics():
    return [
        seqbench.MetricSpec(
            "macro_f1",
            build="seqbench_torchmetrics.meters:macro_f1",
            share=True,
            description="Unweighted mean of the classes' F1 scores, from torchmetrics",
        ),
    ]
