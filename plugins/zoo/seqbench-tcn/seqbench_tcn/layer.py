from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm


class TCN(nn.Module):
    """Residual blocks of causal convolutions, with the dilation doubled in each.

    The receptive field is 1 + 2 · (kernel_size - 1) · (2 ** num_layers - 1) steps.
    """

    def __init__(self, input_size, hidden_size, num_layers, kernel_size, dropout):
        super().__init__()
        sizes = [input_size, *[hidden_size] * (num_layers - 1)]
        self.blocks = nn.Sequential(
            *(
                Block(size, hidden_size, kernel_size, 2**level, dropout)
                for level, size in enumerate(sizes)
            )
        )

    def forward(self, x):  # (batch, time, input) → (batch, time, hidden)
        return self.blocks(x.transpose(1, 2)).transpose(1, 2)


class Block(nn.Module):
    """Two convolutions and a skip connection: (batch, channels, time)."""

    def __init__(self, size, hidden_size, kernel_size, dilation, dropout):
        super().__init__()
        self.first = Causal(size, hidden_size, kernel_size, dilation)
        self.second = Causal(hidden_size, hidden_size, kernel_size, dilation)
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Identity() if size == hidden_size else nn.Conv1d(size, hidden_size, 1)

    def forward(self, x):
        h = self.dropout(self.first(x).relu())
        h = self.dropout(self.second(h).relu())
        return (h + self.skip(x)).relu()


class Causal(nn.Module):
    """A causal convolution: no output depends on later steps."""

    def __init__(self, size, hidden_size, kernel_size, dilation):
        super().__init__()
        self.before = (kernel_size - 1) * dilation
        self.convolution = weight_norm(nn.Conv1d(size, hidden_size, kernel_size, dilation=dilation))

    def forward(self, x):
        return self.convolution(functional.pad(x, (self.before, 0)))
