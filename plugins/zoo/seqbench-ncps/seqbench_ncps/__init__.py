import seqbench

SEQBENCH_API = 5

SIZE = seqbench.Param(64, minimum=1)


@seqbench.hookimpl
def seqbench_models():
    return [
        seqbench.ModelSpec(
            "cfc",
            build="seqbench_ncps.layers:cfc",
            parameters={
                "hidden_size": SIZE,
                "mode": seqbench.Param("default", choices=("default", "pure", "no_gate")),
                "backbone_size": seqbench.Param(128, minimum=1),
            },
            scale="hidden_size",
            description="Closed-form continuous-time network (arXiv 2106.13898), from ncps",
        ),
        seqbench.ModelSpec(
            "ltc",
            build="seqbench_ncps.layers:ltc",
            parameters={
                "hidden_size": SIZE,
                "unfolds": seqbench.Param(6, minimum=1, help="solver steps per step"),
            },
            scale="hidden_size",
            description="Liquid time-constant network (arXiv 2006.04439), from ncps",
        ),
    ]
