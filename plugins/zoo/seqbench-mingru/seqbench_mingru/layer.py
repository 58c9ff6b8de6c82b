import torch
from torch import nn
from torch.nn import functional


class MinGRU(nn.Module):
    """h[t] = (1 - z[t]) · h[t-1] + z[t] · g(c[t]), with h[0] = 0; arXiv 2410.01201, appendix B."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.gate = nn.Linear(input_size, hidden_size)
        self.candidate = nn.Linear(input_size, hidden_size)

    def forward(self, x):  # (batch, time, input) → (batch, time, hidden)
        gate, candidate = self.gate(x), self.candidate(x)
        log_keep = functional.logsigmoid(-gate).cumsum(dim=1)  # of all steps up to this one
        log_new = functional.logsigmoid(gate) + log_positive(candidate)
        return (log_keep + (log_new - log_keep).logcumsumexp(dim=1)).exp()

    def step(self, x, state):  # (batch, input) → (batch, hidden), the same as state
        gate, value = self.gate(x).sigmoid(), positive(self.candidate(x))
        hidden = gate * value if state is None else (1 - gate) * state + gate * value
        return hidden, hidden


def positive(x):
    """g(x): x + 1/2 above zero and sigmoid(x) below."""
    return torch.where(x >= 0, x + 0.5, x.sigmoid())


def log_positive(x):
    """log g(x)."""
    return torch.where(x >= 0, (x.relu() + 0.5).log(), functional.logsigmoid(x))
