"""Cost at several lengths, and the kernels that ran."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_model
from test_models import choice
from torch import Tensor, nn

from seqbench.measure import operators
from seqbench.measure.cost import count_macs, measure_cost
from seqbench.measure.payloads import CostPayload, TrainedModel
from seqbench.records import Measurement
from seqbench.report.caveats import caveats as warnings_below
from seqbench.summary.lengths import exponents
from seqbench.training.data import open_splits, prepare_dataset
from seqbench.training.model import build_model, parameter_count
from seqbench.types import Task
from seqbench.workers.context import JobContext, Workspace

PIXELS = Task("features", 28, "label", 10, 28)


def built(name: str, **params: Any) -> nn.Module:
    return build_model(choice(name, hidden_size=16, **params), PIXELS).eval()


def ops(model: nn.Module) -> dict[str, int]:
    found = operators.recorded_operators(model, torch.zeros(1, 28, 28))["ops"]
    return {op["name"]: op["count"] for op in found}


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_the_kernels_are_those_seen_by_the_profiler(name: str) -> None:
    model = built(name)
    with torch.inference_mode(), torch.profiler.profile() as profile:
        model(torch.zeros(1, 28, 28))
    seen = {event.key: event.count for event in profile.key_averages()}
    found = ops(model)
    assert found
    assert found == {key: seen[key] for key in found}


@pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    reason="needs oneDNN",
)
def test_only_the_lstm_is_fused_on_a_cpu() -> None:
    assert ops(built("lstm"))["aten::mkldnn_rnn_layer"] == 1
    stepwise = ops(built("gru"))
    assert set(stepwise) == {"aten::addmm"}
    assert stepwise["aten::addmm"] >= 28  # at least one product per step


class Scattered(nn.Module):
    """Raises the warning of cuDNN."""

    def forward(self, x: Tensor) -> Tensor:
        warnings.warn(
            "RNN module weights are not part of single contiguous chunk of memory.", stacklevel=1
        )
        return x @ x.mT


def test_scattered_weights_are_flagged_and_noted() -> None:
    found = operators.recorded_operators(Scattered(), torch.zeros(1, 2, 2))
    assert found["ops"] == [{"name": "aten::bmm", "count": 1}]
    (warning,) = found["warnings"]
    assert "flatten_parameters" in warning
    case = {"label": "lstm", "id": "", "dataset": "d", "device": "cuda:0", "latency": []}
    document: Any = {
        "status": "finished",
        "environment": {},
        "cases": [{**case, "warnings": [warning]}],
    }
    assert warnings_below(document) == [f"lstm: {warning}."]


def test_macs_are_counted_at_each_length_beside_the_datasets_own(tmp_path: Path) -> None:
    dataset = choice_of_adding(length=10)
    path = prepare_dataset(dataset, cache=tmp_path, data_dir=None, say=lambda text: None)
    task = open_splits(path).task
    model = choice("rnn", hidden_size=8)
    save_model(build_model(model, task), str(tmp_path / "weights.safetensors"))
    data = str(path.relative_to(tmp_path))
    subject = TrainedModel(model, data, "cpu", "weights.safetensors", {})
    context = JobContext(Workspace(tmp_path, tmp_path), channel=None)  # type: ignore[arg-type]
    measured = measure_cost(CostPayload(subject, (40, 10)), context)["measurements"]
    found = [Measurement(**each) for each in measured]
    assert [m.quantity for m in found] == ["cost", "ops", "macs", "macs"]
    assert found[1].settings["length"] == 10
    counted = {m.settings["length"]: m.values["macs"] for m in found[2:]}
    # hidden · (inputs + hidden) per step, and the readout
    assert counted == {10: 10 * 8 * (2 + 8) + 8, 40: 40 * 8 * (2 + 8) + 8}
    assert list(counted) == [10, 40]
    assert exponents(found)["macs"] == pytest.approx(1, abs=0.01)


def test_attention_costs_the_square_of_the_length() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return (x @ x.mT @ x).mean(dim=(1, 2)) * self.weight

    counted = [count_macs(Attention(), PIXELS, length) for length in (28, 56)]
    assert counted == [2 * 28 * 28**2, 2 * 28 * 56**2]


def choice_of_adding(**params: Any) -> Any:
    from seqbench.plugins.choice import Choice
    from seqbench.plugins.discovery import load_plugins
    from seqbench.plugins.parameters import completed

    spec = load_plugins().dataset("adding").spec
    given = completed({"train_size": 20, "validation_size": 0, "test_size": 20} | params,
                      spec.parameters)  # fmt: skip
    return Choice("adding", given, spec.load, "seqbench", "0")


class Turning(torch.nn.Module):
    """One product with a matrix of complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.zeros(3, 5, dtype=torch.complex64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.to(torch.complex64) @ self.matrix).real


def test_a_product_of_complex_numbers_counts_as_four_and_such_a_parameter_as_two() -> None:
    task = Task("features", 3, "label_per_step", 5, 7)
    assert count_macs(Turning(), task) == 4 * 7 * 3 * 5
    assert parameter_count(Turning()) == 2 * 3 * 5
