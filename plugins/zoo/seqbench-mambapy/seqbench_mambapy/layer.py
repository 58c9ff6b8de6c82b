from mambapy.mamba import Mamba, MambaConfig, RMSNorm
from torch import nn


class Encoder(nn.Module):
    """Mamba blocks between a linear layer and a norm."""

    def __init__(self, input_size, hidden_size, num_layers, state_size, kernel_size):
        super().__init__()
        config = MambaConfig(hidden_size, num_layers, d_state=state_size, d_conv=kernel_size)
        self.config = config
        self.inward = nn.Linear(input_size, hidden_size)
        self.blocks = Mamba(config)
        self.norm = RMSNorm(hidden_size)

    def forward(self, x):  # (batch, time, input) → (batch, time, hidden)
        return self.norm(self.blocks(self.inward(x)))

    def step(self, x, state):  # (batch, input) → (batch, hidden), and the new state
        h = self.inward(x)
        if state is None:
            none_yet = h.new_zeros(len(h), self.config.d_inner, self.config.d_conv - 1)
            state = [(None, none_yet)] * self.config.n_layers
        h, state = self.blocks.step(h, list(state))
        return self.norm(h), state
