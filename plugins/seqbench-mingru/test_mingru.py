import torch
from seqbench_mingru.layer import MinGRU, log_positive


def test_all_steps_at_once_equals_step_by_step():
    torch.manual_seed(0)
    layer, x = MinGRU(3, 5).double(), torch.randn(2, 40, 3).double()
    z, new = layer.gate(x).sigmoid(), log_positive(layer.candidate(x)).exp()
    h, steps = torch.zeros(2, 5).double(), []
    for t in range(x.shape[1]):
        h = (1 - z[:, t]) * h + z[:, t] * new[:, t]
        steps.append(h)
    torch.testing.assert_close(layer(x), torch.stack(steps, dim=1))
