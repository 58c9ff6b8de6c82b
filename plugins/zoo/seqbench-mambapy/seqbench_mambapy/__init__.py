import seqbench

SEQBENCH_API = 5


@seqbench.hookimpl
def seqbench_models():
    return [
        seqbench.ModelSpec(
            "mamba",
            build="seqbench_mambapy.layer:Encoder",
            parameters={
                "hidden_size": seqbench.Param(64, minimum=1),
                "num_layers": seqbench.Param(2, minimum=1),
                "state_size": seqbench.Param(16, minimum=1, help="state size of each channel"),
                "kernel_size": seqbench.Param(
                    4, minimum=2, help="kernel size of the short convolution"
                ),
            },
            scale="hidden_size",
            description="Mamba (arXiv 2312.00752), from mambapy",
        )
    ]
