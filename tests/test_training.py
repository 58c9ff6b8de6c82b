"""Training: reproducibility, selection on validation, divergence."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from small_splits import prepared
from torch import nn

from seqbench.errors import DataError, Diverged, PluginError
from seqbench.training.evaluation import MeanLoss, evaluate
from seqbench.training.loop import Trained, train_model
from seqbench.training.losses import default_loss
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Batch, Split
from seqbench.training.step import Step
from seqbench.types import Task

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 16,
    "optimizer": {"name": "adam", "params": {"lr": 0.01}},
    "schedule": None,
    "clip_norm": None,
}


def splits(task: Task | None = None, validation: bool = True, n: int = 200) -> PreparedSplits:
    """Sequences labeled with the sign of their sum: learned within seconds."""
    task = task or Task("features", 2, "label", 2, 5)
    draw = torch.Generator().manual_seed(7)
    x = torch.randn(n, 5, 2, generator=draw)
    total = x.sum(dim=(1, 2))
    y = total[:, None].clone() if task.target == "value" else (total > 0).long()
    half = n // 2
    part = (x[half:], y[half:])
    return prepared(task, (x[:half], y[:half]), part, part if validation else None)


class Flat(nn.Module):
    def __init__(self, outputs: int = 2):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(10, 16), nn.Dropout(0.2), nn.ReLU())
        self.head = nn.Linear(16, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(self.layers(x))
        return answer


def trained(seed: int = 0, data: PreparedSplits | None = None, **settings: Any) -> Trained:
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


def test_a_loss_that_was_small_by_chance_at_first_is_no_divergence() -> None:
    class Lucky(Flat):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            answers = super().forward(x)
            if self.calls > 1:
                return answers * 0.0
            labels = (x.sum(dim=(1, 2)) > 0).long()
            return answers * 0.0 + 20.0 * torch.nn.functional.one_hot(labels, 2)

    result = train_model(Lucky(), splits(), SETTINGS, device=CPU, seed=0)
    assert result.curve[-1]["train_loss"] == pytest.approx(math.log(2), rel=1e-6)


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
    step = Step(Flat(), splits(), settings, steps_per_epoch=4)
    batch = Batch(torch.zeros(2, 5, 2), torch.zeros(2, dtype=torch.int64))
    rates = [step.optimizer.param_groups[0]["lr"]]
    for _ in range(3):
        for _ in range(4):
            step(batch)
        rates.append(step.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx(expected, abs=1e-9)


def test_one_cycle_rises_to_its_maximum_and_ends_near_zero() -> None:
    schedule = {"name": "one_cycle", "params": {"max_lr": 0.1, "pct_start": 0.3}}
    step = Step(Flat(), splits(), {**SETTINGS, "schedule": schedule}, 10)
    batch = Batch(torch.zeros(2, 5, 2), torch.zeros(2, dtype=torch.int64))
    rates = []
    for _ in range(30):
        rates.append(step.optimizer.param_groups[0]["lr"])
        step(batch)
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


def test_an_answer_that_is_not_finite_at_the_best_weights_alone_diverges() -> None:
    """It is finite on validation, and on test at the last weights."""

    class Marked(Flat):
        """The first epoch is the best, but the answer to the test split is NaN then."""

        steps: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("steps", torch.tensor(0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                self.steps += 1
                return super().forward(x)
            if self.steps > 7:  # seven steps per epoch
                return -super().forward(x)
            return super().forward(x) * (math.nan if (x[0] == 9).all() else 1.0)

    parts = splits()
    inputs = parts.test.inputs.clone()
    inputs[0] = 9
    parts = dataclasses.replace(parts, test=dataclasses.replace(parts.test, inputs=inputs))
    with pytest.raises(Diverged, match="nan"):
        train_model(Marked(), parts, {**SETTINGS, "epochs": 2}, device=CPU, seed=0)


class Scripted(Flat):
    """Answers with given logits for class 1 in evaluation mode, one for each epoch."""

    logits: torch.Tensor
    steps: torch.Tensor

    def __init__(self, logits: list[float]):
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.steps += 1
            return super().forward(x)
        logit = self.logits[(self.steps - 1) // 7]  # seven steps per epoch
        return torch.stack([torch.zeros(len(x)), logit.expand(len(x))], dim=1)


@pytest.mark.parametrize(
    ("logits", "best"),
    [
        ([3.0, 1.0, 2.0], 2),  # equal figures: the lowest loss
        ([1.0, 2.0, 1.0, 2.0], 3),  # equal losses, too: the latest
        ([3.0, -1.0, 4.0], 1),  # another figure: the loss does not matter
    ],
)
def test_ties_on_validation_go_to_the_lower_loss_and_then_to_the_later_epoch(
    logits: list[float], best: int
) -> None:
    """60 % of the validation split are of class 1, and its loss is worked out by hand."""
    parts = splits()
    y = (torch.arange(100) % 5 < 3).long()
    parts = dataclasses.replace(parts, validation=dataclasses.replace(parts.test, targets=y))
    settings = {**SETTINGS, "epochs": len(logits)}
    result = train_model(Scripted(logits), parts, settings, device=CPU, seed=0)
    losses = [math.log1p(math.exp(logit)) - 0.6 * logit for logit in logits]
    assert [e["validation_loss"] for e in result.curve] == pytest.approx(losses, rel=1e-6)
    assert [e["validation"] for e in result.curve] == [0.6 if n > 0 else 0.4 for n in logits]
    assert result.metrics["best_epoch"] == best


def test_the_validation_loss_is_the_mean_over_all_sequences_of_every_kind_of_task() -> None:
    for target, kind in (("value", torch.float32), ("label_per_step", torch.int64)):
        task = Task("features", 2, target, 3, 5)  # type: ignore[arg-type]
        x = torch.randn(1300, 5, 2)
        shape = (1300, 3) if target == "value" else (1300, 5)
        y = torch.randint(0, 3, shape).to(kind)
        model = (
            nn.Linear(2, 3) if target != "value" else nn.Sequential(nn.Flatten(), nn.Linear(10, 3))
        )
        found = MeanLoss(default_loss(task))
        evaluate(model, Split(task, x, y), device=CPU, meters=[found])
        with torch.no_grad():
            assert found.value == pytest.approx(default_loss(task)(model(x), y).item(), rel=1e-5)


class Normalized(Flat):
    def __init__(self) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm1d(10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.normalize(x.flatten(1)))


def test_a_last_batch_of_one_sequence_can_be_left_out() -> None:
    settings = {**SETTINGS, "batch_size": 33}  # of 100: the last batch is a single sequence
    with pytest.raises(PluginError) as caught:
        train_model(Normalized(), splits(), settings, device=CPU, seed=0)
    reason = str(caught.value)
    assert "Expected more than 1 value per channel" in reason
    assert reason.endswith(
        "the last batch of an epoch is a single sequence: leave it out with train.drop_last: true, "
        "or choose another train.batch_size"
    )
    assert "\n" not in reason
    schedule = {"name": "one_cycle", "params": {"max_lr": 0.1}}  # fails after its last step
    settings |= {"drop_last": True, "schedule": schedule}
    result = train_model(Normalized(), splits(), settings, device=CPU, seed=0)
    assert [entry["steps"] for entry in result.curve] == [3, 6, 9]


def test_drop_last_keeps_a_complete_last_batch() -> None:
    settings = {**SETTINGS, "batch_size": 25, "epochs": 1}
    whole, dropped = (
        trained(**settings, drop_last=drop).curve[0]["train_loss"] for drop in (False, True)
    )
    assert whole == dropped


def test_drop_last_that_leaves_no_batch_is_reported() -> None:
    settings = {**SETTINGS, "batch_size": 101, "drop_last": True}
    with pytest.raises(DataError, match=r"has 100 sequences, fewer than train\.batch_size 101"):
        train_model(Flat(), splits(), settings, device=CPU, seed=0)
