import pytest
import torch
from pytorch_optimizer import Lion
from seqbench_optimizers import build, seqbench_optimizers

from seqbench.testing import conformance

test_lion = conformance("lion", kind="optimizer")
test_adan = conformance("adan", kind="optimizer")
test_ademamix = conformance("ademamix", kind="optimizer")
test_prodigy = conformance("prodigy", kind="optimizer")
test_soap = conformance("soap", kind="optimizer")


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_lion_is_the_algorithm_of_its_paper(weight_decay):
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(3, 4))
    other, average = weight.detach().clone(), torch.zeros(3, 4)
    optimizer = build.lion([weight], lr=0.01, betas=[0.9, 0.99], weight_decay=weight_decay)
    assert isinstance(optimizer, Lion)
    for _ in range(5):
        weight.grad = torch.randn(3, 4)
        update = (0.9 * average + 0.1 * weight.grad).sign()
        average = 0.99 * average + 0.01 * weight.grad
        other -= 0.01 * (update + weight_decay * other)
        optimizer.step()
    torch.testing.assert_close(weight.detach(), other)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lion", 0.999**4),
        ("ademamix", 0.999**4),
        ("adan", 1 / 1.001**4),  # its proximal form
        ("soap", 0.999**3),  # its first step only finds the basis
    ],
)
def test_weight_decay_is_decoupled(name, expected):
    """Without a gradient a step shrinks the weights by lr · weight_decay."""
    weight = torch.nn.Parameter(torch.ones(3, 4))
    spec = next(one for one in seqbench_optimizers() if one.name == name)
    params = {key: param.default for key, param in spec.parameters.items()}
    optimizer = getattr(build, name)([weight], **{**params, "lr": 0.01, "weight_decay": 0.1})
    for _ in range(4):
        weight.grad = torch.zeros(3, 4)
        optimizer.step()
    assert weight.mean().item() == pytest.approx(expected, rel=1e-6)
