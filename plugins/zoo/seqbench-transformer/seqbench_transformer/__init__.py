import seqbench

SEQBENCH_API = 5


@seqbench.hookimpl
def seqbench_models():
    return [
        seqbench.ModelSpec(
            "transformer",
            build="seqbench_transformer.layer:Transformer",
            parameters={
                "hidden_size": seqbench.Param(64, minimum=1, help="a multiple of num_heads"),
                "num_layers": seqbench.Param(2, minimum=1),
                "num_heads": seqbench.Param(4, minimum=1),
                "feedforward_size": seqbench.Param(128, minimum=1),
                "causal": seqbench.Param(False, help="steps attend only to earlier ones"),
                "dropout": seqbench.Param(0.0, minimum=0, maximum=1),
            },
            scale="hidden_size",
            description="Transformer encoder (arXiv 1706.03762), pre-norm",
        )
    ]
