import torch
from seqbench_tcn.layer import TCN

from seqbench.testing import conformance

test_conformance = conformance("tcn", hidden_size=8)


def test_the_receptive_field_is_causal_and_as_documented():
    torch.manual_seed(0)
    layer = TCN(1, 8, num_layers=2, kernel_size=3, dropout=0.0)
    x = torch.randn(1, 30, 1, requires_grad=True)
    layer(x)[0, 20].sum().backward()
    seen = x.grad[0, :, 0].nonzero().flatten().tolist()
    assert seen == list(range(8, 21))  # 1 + 2 · 2 · 3 steps
