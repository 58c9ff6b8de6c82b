import seqbench

SEQBENCH_API = 5


@seqbench.hookimpl
def seqbench_models():
    return [
        seqbench.ModelSpec(
            "xlstm",
            build="seqbench_xlstm.layer:Encoder",
            parameters={
                "hidden_size": seqbench.Param(64, minimum=1, help="a multiple of num_heads"),
                "num_layers": seqbench.Param(2, minimum=1),
                "num_heads": seqbench.Param(4, minimum=1),
                "slstm_at": seqbench.Param(
                    [1], help="indices of sLSTM layers; the others are mLSTM"
                ),
                "longest": seqbench.Param(1024, minimum=1, help="maximum sequence length"),
                "dropout": seqbench.Param(0.0, minimum=0, maximum=1),
            },
            scale="hidden_size",
            description="xLSTM (arXiv 2405.04517), from NX-AI's package xlstm",
        )
    ]
