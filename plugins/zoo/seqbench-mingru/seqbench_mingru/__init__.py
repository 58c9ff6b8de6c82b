import seqbench

SEQBENCH_API = 5


@seqbench.hookimpl
def seqbench_models():
    return [
        seqbench.ModelSpec(
            "mingru",
            build="seqbench_mingru.layer:MinGRU",
            parameters={"hidden_size": 128},
            scale="hidden_size",
            description="minGRU (arXiv 2410.01201), parallel over steps",
        )
    ]
