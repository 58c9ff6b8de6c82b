"""The three classic recurrent models."""

import seqbench
from seqbench import ModelSpec, Param

SHARED = {
    "hidden_size": Param(128, minimum=1, help="size of the hidden state (of each direction)"),
    "num_layers": Param(1, minimum=1, help="stacked recurrent layers"),
    "bidirectional": Param(False, help="also read the sequence backwards"),
    "dropout": Param(
        0.0, minimum=0, maximum=1, help="dropout between layers, if there are two or more"
    ),
}


@seqbench.hookimpl
def seqbench_models() -> list[ModelSpec]:
    return [
        ModelSpec(
            "rnn",
            build="seqbench_builtin.recurrent.layers:rnn",
            parameters={**SHARED, "nonlinearity": Param("tanh", choices=("tanh", "relu"))},
            scale="hidden_size",
            description="Elman network (torch.nn.RNN)",
        ),
        ModelSpec(
            "lstm",
            build="seqbench_builtin.recurrent.layers:lstm",
            parameters=SHARED,
            scale="hidden_size",
            description="Long short-term memory (torch.nn.LSTM)",
        ),
        ModelSpec(
            "gru",
            build="seqbench_builtin.recurrent.layers:gru",
            parameters=SHARED,
            scale="hidden_size",
            description="Gated recurrent unit (torch.nn.GRU)",
        ),
    ]
