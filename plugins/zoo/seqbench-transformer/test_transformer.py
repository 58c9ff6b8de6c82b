import torch
from seqbench_transformer.layer import Transformer

from seqbench.testing import conformance

test_conformance = conformance("transformer", hidden_size=8, num_heads=2)
test_causal_conformance = conformance("transformer", hidden_size=8, num_heads=2, causal=True)


def test_a_causal_step_sees_none_after_it():
    torch.manual_seed(0)
    layer = Transformer(3, 8, 2, 2, 16, causal=True, dropout=0.0).eval()
    x = torch.randn(2, 6, 3)
    torch.testing.assert_close(layer(x)[:, :4], layer(x[:, :4]))
