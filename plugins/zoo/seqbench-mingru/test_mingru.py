import torch
from seqbench_mingru.layer import MinGRU

from seqbench.testing import conformance

test_conformance = conformance("mingru", hidden_size=8)


def test_all_steps_at_once_equals_step_by_step():
    torch.manual_seed(0)
    layer, x = MinGRU(3, 5).double(), torch.randn(2, 40, 3).double()
    state, steps = None, []
    for t in range(x.shape[1]):
        hidden, state = layer.step(x[:, t], state)
        steps.append(hidden)
    torch.testing.assert_close(layer(x), torch.stack(steps, dim=1))
