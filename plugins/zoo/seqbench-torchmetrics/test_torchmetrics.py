import pytest
import torch
from seqbench_torchmetrics.meters import macro_f1

import seqbench


def test_it_is_the_mean_of_the_f1_of_the_classes():
    meter = macro_f1(seqbench.Task("features", 1, "label", output_size=3, length=1))
    predicted, true = torch.tensor([0, 0, 1, 1, 1, 2]), torch.tensor([0, 1, 1, 1, 2, 2])
    for part in (slice(0, 4), slice(4, 6)):
        meter.update(torch.nn.functional.one_hot(predicted[part], 3).float(), true[part])
    assert float(meter.compute()) == pytest.approx((2 / 3 + 2 / 3 + 2 / 3) / 3)
