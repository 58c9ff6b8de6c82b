from s5 import S5Block
from torch import nn


class Encoder(nn.Module):
    """S5 blocks after a linear layer."""

    def __init__(self, input_size, hidden_size, num_layers, state_size, dropout):
        super().__init__()
        self.inward = nn.Linear(input_size, hidden_size)
        self.blocks = nn.Sequential(
            *(
                S5Block(hidden_size, state_size, bidir=False, ff_dropout=dropout)
                for _ in range(num_layers)
            )
        )

    def forward(self, x):  # (batch, time, input) → (batch, time, hidden)
        return self.blocks(self.inward(x))
