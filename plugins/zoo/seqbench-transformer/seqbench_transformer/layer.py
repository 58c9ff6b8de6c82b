import math

import torch
from torch import nn


class Transformer(nn.Module):
    """torch's encoder layers with sinusoidal positions, for sequences of any length."""

    def __init__(
        self, input_size, *, hidden_size, num_layers, num_heads, feedforward_size, causal, dropout
    ):
        super().__init__()
        self.causal = causal
        self.inward = nn.Linear(input_size, hidden_size)
        layer = nn.TransformerEncoderLayer(
            hidden_size, num_heads, feedforward_size, dropout,
            activation="gelu", batch_first=True, norm_first=True,
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(
            layer, num_layers, norm=nn.LayerNorm(hidden_size), enable_nested_tensor=False
        )
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:  # the layers are copies: give each its own weights
                nn.init.xavier_uniform_(parameter)

    def forward(self, x, lengths=None):  # (batch, time, input) → (batch, time, hidden)
        h = self.inward(x)
        h = h + positions(h.shape[1], h.shape[2], h)
        if self.causal:  # padding at the end is ahead of all steps
            mask = nn.Transformer.generate_square_subsequent_mask(h.shape[1], h.device, h.dtype)
            return self.layers(h, mask=mask, is_causal=True)
        padding = None
        if lengths is not None:
            padding = torch.arange(h.shape[1], device=h.device) >= lengths.to(h.device)[:, None]
        return self.layers(h, src_key_padding_mask=padding)


def positions(length, size, like):
    """Sines and cosines of (time, size): section 3.5 of the paper."""
    time = torch.arange(length, device=like.device, dtype=like.dtype)[:, None]
    half = torch.arange((size + 1) // 2, device=like.device, dtype=like.dtype)
    angles = time * torch.exp(-math.log(10_000) * 2 * half / size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :size]
