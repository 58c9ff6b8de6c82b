import seqbench

SEQBENCH_API = 5


@seqbench.hookimpl
def seqbench_models():
    return [
        seqbench.ModelSpec(
            "tcn",
            build="seqbench_tcn.layer:TCN",
            parameters={
                "hidden_size": seqbench.Param(64, minimum=1),
                "num_layers": seqbench.Param(4, minimum=1, help="residual blocks"),
                "kernel_size": seqbench.Param(3, minimum=2),
                "dropout": seqbench.Param(0.0, minimum=0, maximum=1),
            },
            scale="hidden_size",
            description="Temporal convolutional network (arXiv 1803.01271): causal, dilated",
        )
    ]
