import seqbench

SEQBENCH_API = 5


@seqbench.hookimpl
def seqbench_models():
    return [
        seqbench.ModelSpec(
            "rocket",
            build="seqbench_rocket.transform:rocket",
            parameters={
                "kernels": seqbench.Param(10_000, minimum=84, help="random convolutions"),
                "variant": seqbench.Param("rocket", choices=("rocket", "minirocket")),
            },
            kind="estimator",
            description="Random convolutional kernels and a ridge classifier",
            tasks=["features/label"],
            lengths="fixed",
        )
    ]
