import xlstm
from torch import nn


class Encoder(nn.Module):
    """mLSTM and sLSTM blocks after a linear layer."""

    def __init__(
        self, input_size, *, hidden_size, num_layers, num_heads, slstm_at, longest, dropout
    ):
        super().__init__()
        if any(at >= num_layers for at in slstm_at):
            raise ValueError(f"slstm_at {slstm_at}: layers are 0 to {num_layers - 1}")
        mlstm = xlstm.mLSTMLayerConfig(num_heads=num_heads)
        # The other backend compiles a CUDA kernel when the model is built.
        slstm = xlstm.sLSTMLayerConfig(num_heads=num_heads, backend="vanilla")
        feedforward = xlstm.FeedForwardConfig(proj_factor=1.3, act_fn="gelu", dropout=dropout)
        config = xlstm.xLSTMBlockStackConfig(
            mlstm_block=xlstm.mLSTMBlockConfig(mlstm=mlstm),
            slstm_block=xlstm.sLSTMBlockConfig(slstm=slstm, feedforward=feedforward),
            context_length=longest,
            num_blocks=num_layers,
            embedding_dim=hidden_size,
            dropout=dropout,
            slstm_at=slstm_at,
        )
        self.inward = nn.Linear(input_size, hidden_size)
        self.blocks = xlstm.xLSTMBlockStack(config)

    def forward(self, x):  # (batch, time, input) → (batch, time, hidden)
        return self.blocks(self.inward(x))

    def step(self, x, state):  # (batch, input) → (batch, hidden), and the new state
        hidden, new = self.blocks.step(self.inward(x)[:, None], copied(state))
        return hidden[:, 0], new


def copied(state):
    """A copy of the state, since the stack and its convolutions change it in place."""
    if state is None:
        return None
    return {
        name: {**block, "conv_state": tuple(part.clone() for part in block["conv_state"])}
        for name, block in state.items()
    }
