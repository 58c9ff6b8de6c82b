"""Training: reproducibility, selection on validation, divergence."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from seqbench.errors import Diverged, PluginError
from seqbench.training import loop
from seqbench.training.loop import Trained, train_model
from seqbench.training.step import Step
from seqbench.types import Splits, Task

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 16,
    "optimizer": {"name": "adam", "params": {"lr": 0.01}},
    "schedule": None,
    "clip_norm": None,
}


def splits(task: Task | None = None, validation: bool = True, n: int = 200) -> Splits:
    """Sequences labeled with the sign of their sum: learned within seconds."""
    task = task or Task("features", 2, "label", 2, 5)
    draw = torch.Generator().manual_seed(7)
    x = torch.randn(n, 5, 2, generator=draw)
    total = x.sum(dim=(1, 2))
    y = total[:, None].clone() if task.target == "value" else (total > 0).long()
    half = n // 2
    part = (x[half:], y[half:])
    return Splits(task, (x[:half], y[:half]), part, part if validation else None)


class Flat(nn.Module):
    def __init__(self, outputs: int = 2):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(10, 16), nn.Dropout(0.2), nn.ReLU())
        self.head = nn.Linear(16, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(self.layers(x))
        return answer


def trained(seed: int = 0, data: Splits | None = None, **settings: Any) -> Trained:
    torch.manual_seed(seed)
    data = data or splits()
    model = Flat(data.task.output_size)
    return train_model(model, data, {**SETTINGS, **settings}, device=CPU, seed=seed)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        model = Flat()
        train_model(model, splits(), SETTINGS, device=CPU, seed=seed)
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_the_test_split_is_measured_at_the_best_epoch_by_validation() -> None:
    """The validation split is the test split here, so the best figure is the curve's best."""
    result = trained(epochs=6, optimizer={"name": "sgd", "params": {"lr": 1.0}})
    best = max(entry["validation"] for entry in result.curve)
    assert result.metrics["best"] == result.metrics["value"] == best
    assert result.metrics["validation"] == best
    assert result.curve[result.metrics["best_epoch"] - 1]["validation"] == best
    assert result.metrics["last"] == result.curve[-1]["validation"]


def test_without_validation_only_the_last_epoch_is_reported() -> None:
    result = trained(data=splits(validation=False))
    assert result.metrics["best"] is None
    assert result.metrics["best_epoch"] is None
    assert result.metrics["value"] == result.metrics["last"]


def test_regression_uses_mean_squared_error_and_lower_is_better() -> None:
    data = splits(Task("features", 2, "value", 1, 5))
    result = trained(data=data, epochs=8)
    assert result.metrics["best"] == min(entry["validation"] for entry in result.curve)
    assert result.curve[-1]["validation"] < result.curve[0]["validation"]


@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop", "nadam"])
def test_any_optimizer_of_torch_trains(name: str) -> None:
    result = trained(optimizer={"name": name, "params": {"lr": 0.01}}, clip_norm=1.0)
    assert result.curve[-1]["train_loss"] < result.curve[0]["train_loss"]


def test_a_loss_that_is_not_finite_stops_the_training_at_its_step() -> None:
    class Explodes(Flat):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            factor = float("inf") if self.calls == 9 else 1.0
            return super().forward(x) * factor

    with pytest.raises(Diverged) as caught:
        train_model(Explodes(), splits(), SETTINGS, device=CPU, seed=0)
    # Seven steps per epoch, then one evaluation call: the ninth call is step 8.
    assert caught.value.step == 8
    assert caught.value.value == "nan"
    assert str(caught.value) == "the loss became nan at step 8"


def test_a_loss_that_explodes_is_a_divergence_too() -> None:
    class Explodes(Flat):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x) * (1 if self.calls == 1 else 1e4)

    with pytest.raises(Diverged, match=r"the mean loss became .* \(initially 0\..*\) at step 7"):
        train_model(Explodes(), splits(), SETTINGS, device=CPU, seed=0)


def test_huge_losses_that_are_finite_do_not_overflow_their_mean() -> None:
    class Huge(Flat):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * 0 + 1e19  # squared: 1e38, near the end of float32

    data = splits(Task("features", 2, "value", 1, 5))
    settings = {**SETTINGS, "batch_size": 1, "epochs": 1}
    result = train_model(Huge(1), data, settings, device=CPU, seed=0)
    assert result.curve[0]["train_loss"] == pytest.approx(1e38, rel=0.01)


def test_a_wrong_shape_in_evaluation_is_an_error() -> None:
    class Flattens(Flat):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            answer = super().forward(x)
            return answer if self.training else answer[:, 0]

    data = splits(Task("features", 2, "value", 1, 5))
    with pytest.raises(PluginError, match=r"returned shape \(100,\), expected \(100, 1\)"):
        train_model(Flattens(1), data, SETTINGS, device=CPU, seed=0)


def test_an_answer_that_is_not_finite_in_evaluation_is_a_divergence() -> None:
    class BadInEvaluation(Flat):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * (1.0 if self.training else float("nan"))

    with pytest.raises(Diverged, match="the model's answer became nan at step 7"):
        train_model(BadInEvaluation(), splits(), SETTINGS, device=CPU, seed=0)


def test_a_wrong_shape_is_reported_with_both_shapes() -> None:
    with pytest.raises(PluginError, match=r"returned shape \(16, 3\), expected \(16, 2\)"):
        train_model(Flat(3), splits(), SETTINGS, device=CPU, seed=0)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"name": "cosine", "params": {"eta_min": 0.0}}, [1.0, 0.75, 0.25, 0.0]),
        ({"name": "step", "params": {"step_size": 1, "gamma": 0.5}}, [1.0, 0.5, 0.25, 0.125]),
        ({"name": "exponential", "params": {"gamma": 0.1}}, [1.0, 0.1, 0.01, 0.001]),
    ],
)
def test_schedules_reach_the_rates_worked_out_by_hand(
    schedule: dict[str, Any], expected: list[float]
) -> None:
    settings = {
        **SETTINGS,
        "schedule": schedule,
        "optimizer": {"name": "sgd", "params": {"lr": 1.0}},
    }
    step = Step(Flat(), splits().task, settings, steps_per_epoch=4)
    x, y = torch.zeros(2, 5, 2), torch.zeros(2, dtype=torch.int64)
    rates = [step.optimizer.param_groups[0]["lr"]]
    for _ in range(3):
        for _ in range(4):
            step(x, y)
        rates.append(step.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx(expected, abs=1e-9)


def test_one_cycle_rises_to_its_maximum_and_ends_near_zero() -> None:
    schedule = {"name": "one_cycle", "params": {"max_lr": 0.1, "pct_start": 0.3}}
    step = Step(Flat(), splits().task, {**SETTINGS, "schedule": schedule}, 10)
    rates = []
    for _ in range(30):
        rates.append(step.optimizer.param_groups[0]["lr"])
        step(torch.zeros(2, 5, 2), torch.zeros(2, dtype=torch.int64))
    assert max(rates) == pytest.approx(0.1, rel=1e-3)
    assert rates[0] == pytest.approx(0.1 / 25)
    assert rates[-1] < 1e-5


def test_bf16_is_deterministic_and_leaves_weights_and_answer_in_fp32() -> None:
    def weights(precision: str) -> torch.Tensor:
        torch.manual_seed(0)
        model = Flat()
        settings = {**SETTINGS, "precision": precision}
        train_model(model, splits(), settings, device=CPU, seed=0)
        assert model(torch.zeros(1, 5, 2)).dtype == torch.float32
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    half = weights("bf16")
    assert half.dtype == torch.float32
    assert torch.equal(half, weights("bf16"))
    assert not torch.equal(half, weights("fp32"))
    torch.testing.assert_close(half, weights("fp32"), rtol=0.1, atol=0.05)


def test_an_answer_that_is_not_finite_at_the_best_weights_alone_diverges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is finite on validation, and on test at the last weights."""
    figures = iter([0.9, 0.5, 0.5, math.nan])
    monkeypatch.setattr(loop, "evaluate", lambda *rest, **options: next(figures))
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(2))
    parts = splits()
    model(parts.train[0][:1])
    with pytest.raises(Diverged, match="nan"):
        train_model(model, parts, {**SETTINGS, "epochs": 2}, device=torch.device("cpu"), seed=0)
