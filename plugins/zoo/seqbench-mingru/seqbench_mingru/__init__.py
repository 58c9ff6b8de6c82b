import seqbench


@seqbench.hookimpl
def seqbench_models():
    return [
        seqbench.ModelSpec(
            "mingru",
            build="seqbench_mingru.layer:MinGRU",
            parameters={"hidden_size": 128},
            description="minGRU (arXiv 2410.01201), parallel over steps",
        )
    ]
