"""The three classic recurrent models. They use the public hooks like anybody else's package."""

import seqbench
from seqbench import ModelSpec, Param

SHARED = {
    "hidden_size": Param(128, minimum=1, help="size of the state (of each direction)"),
    "num_layers": Param(1, minimum=1, help="recurrent layers, one above the other"),
    "bidirectional": Param(False, help="read the sequence from both ends"),
    "dropout": Param(0.0, minimum=0, maximum=1, help="between layers, so with two or more"),
}


@seqbench.hookimpl
def seqbench_models() -> list[ModelSpec]:
    return [
        ModelSpec(
            "rnn",
            build="seqbench_builtin.recurrent.layers:rnn",
            parameters={**SHARED, "nonlinearity": Param("tanh", choices=("tanh", "relu"))},
            description="Elman network (torch.nn.RNN)",
        ),
        ModelSpec(
            "lstm",
            build="seqbench_builtin.recurrent.layers:lstm",
            parameters=SHARED,
            description="Long short-term memory (torch.nn.LSTM)",
        ),
        ModelSpec(
            "gru",
            build="seqbench_builtin.recurrent.layers:gru",
            parameters=SHARED,
            description="Gated recurrent unit (torch.nn.GRU)",
        ),
    ]
