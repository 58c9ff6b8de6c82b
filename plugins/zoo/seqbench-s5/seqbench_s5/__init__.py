import seqbench

SEQBENCH_API = 5


@seqbench.hookimpl
def seqbench_models():
    return [
        seqbench.ModelSpec(
            "s5",
            build="seqbench_s5.layer:Encoder",
            parameters={
                "hidden_size": seqbench.Param(64, minimum=2),
                "num_layers": seqbench.Param(2, minimum=1),
                "state_size": seqbench.Param(64, minimum=2),
                "dropout": seqbench.Param(0.0, minimum=0, maximum=1),
            },
            scale="hidden_size",
            description="S5 (arXiv 2208.04933), from s5-pytorch",
        )
    ]
