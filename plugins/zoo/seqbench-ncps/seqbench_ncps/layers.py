from ncps.torch import LTC, CfC
from torch import nn


class Recurrent(nn.Module):
    """A layer of ncps with the interface of seqbench."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):  # (batch, time, input) → (batch, time, hidden)
        return self.layer(x)[0]

    def step(self, x, state):  # (batch, input) → (batch, hidden), and the new state
        hidden, state = self.layer(x[:, None], state)
        return hidden[:, 0], state


class Liquid(Recurrent):
    def _apply(self, function, recurse=True):
        """Update LTC's own dictionary of parameters, which still has the old ones after a move to
        the device meta.
        """
        super()._apply(function, recurse)
        cell = self.layer.rnn_cell
        cell._params = dict(cell.named_parameters(recurse=False))
        return self


def cfc(input_size, hidden_size, mode, backbone_size):
    return Recurrent(CfC(input_size, hidden_size, mode=mode, backbone_units=backbone_size))


def ltc(input_size, hidden_size, unfolds):
    return Liquid(LTC(input_size, hidden_size, ode_unfolds=unfolds))
