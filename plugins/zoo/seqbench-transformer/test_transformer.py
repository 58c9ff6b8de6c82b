import torch
from seqbench_transformer.layer import Transformer

from seqbench.testing import conformance

test_conformance = conformance("transformer", hidden_size=8, num_heads=2)
test_causal_conformance = conformance("transformer", hidden_size=8, num_heads=2, causal=True)


def test_a_causal_step_does_not_depend_on_later_steps():
    torch.manual_seed(0)
    layer = Transformer(
        3, hidden_size=8, num_layers=2, num_heads=2, feedforward_size=16, causal=True, dropout=0.0
    ).eval()
    x = torch.randn(2, 6, 3)
    torch.testing.assert_close(layer(x)[:, :4], layer(x[:, :4]))
