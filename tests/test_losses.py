"""Each loss of `train.loss` against torch's own, and against numbers worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from small_splits import prepared
from torch import Tensor
from torch.nn import functional

from seqbench.errors import DataError, SeqbenchError
from seqbench.plugins.registry import Registry
from seqbench.suite.optimizers import LOSSES, Method, resolved
from seqbench.suite.validate import parse_suite
from seqbench.training.losses import Loss, loss_of
from seqbench.training.prepared import PreparedSplits
from seqbench.types import Task

CLASSES = 4


def task(target: str) -> Task:
    return Task("features", 3, target, CLASSES, 5)  # type: ignore[arg-type]


def splits(target: str, y: Any = None) -> PreparedSplits:
    of = task(target)
    n = 12 if y is None else len(y)
    draw = torch.Generator().manual_seed(0)
    if y is None:
        y = {
            "label": torch.arange(n) % CLASSES,
            "labels": torch.randint(0, 2, (n, CLASSES), generator=draw, dtype=torch.uint8),
            "value": torch.rand(n, CLASSES, generator=draw),
        }[of.target_type]
    pair = (torch.randn(n, 5, 3, generator=draw), torch.as_tensor(y))
    return prepared(of, pair, pair)


def loss(target: str, name: str, y: Any = None, **params: Any) -> Loss:
    return loss_of(splits(target, y), resolved(Method(name, params), LOSSES))


TORCH: list[tuple[str, str, dict[str, Any], Any]] = [
    ("label", "cross_entropy", {}, lambda a, y: functional.cross_entropy(a, y)),
    ("label", "cross_entropy", {"label_smoothing": 0.1},
     lambda a, y: functional.cross_entropy(a, y, label_smoothing=0.1)),
    ("label", "cross_entropy", {"class_weights": [1, 2, 0, 4.5], "label_smoothing": 0.2},
     lambda a, y: functional.cross_entropy(
         a, y, weight=torch.tensor([1, 2, 0, 4.5]), label_smoothing=0.2)),
    ("label", "multi_margin", {"p": 2, "margin": 0.5},
     lambda a, y: functional.multi_margin_loss(a, y, p=2, margin=0.5)),
    ("labels", "bce", {"pos_weight": [1, 2, 3, 4]},
     lambda a, y: functional.binary_cross_entropy_with_logits(
         a, y.float(), pos_weight=torch.tensor([1.0, 2, 3, 4]))),
    ("value", "mse", {}, lambda a, y: functional.mse_loss(a, y)),
    ("value", "mae", {}, lambda a, y: functional.l1_loss(a, y)),
    ("value", "huber", {"delta": 0.3}, lambda a, y: functional.huber_loss(a, y, delta=0.3)),
    ("value", "smooth_l1", {"beta": 0.3}, lambda a, y: functional.smooth_l1_loss(a, y, beta=0.3)),
    ("value", "poisson_nll", {"log_input": True}, lambda a, y: functional.poisson_nll_loss(a, y)),
    ("value", "log_cosh", {}, lambda a, y: (a - y).cosh().log().mean()),
]  # fmt: skip


@pytest.mark.parametrize(("target", "name", "params", "expected"), TORCH)
def test_a_loss_is_torchs_and_a_weighted_one_that_of_the_rows_that_count(
    target: str, name: str, params: dict[str, Any], expected: Any
) -> None:
    of = splits(target)
    y = of.train.targets  # type: ignore[union-attr]
    answers = 2 * torch.randn(len(y), CLASSES)
    found = loss(target, name, **params)
    close = {"rel": 1e-6} if name == "log_cosh" else {"rel": 0, "abs": 0}
    assert found(answers, y).item() == pytest.approx(expected(answers, y).item(), **close)
    counted = torch.arange(len(y)) % 3 > 0
    some = found(answers, y, counted.float()).item()
    assert some == pytest.approx(expected(answers[counted], y[counted]).item(), rel=1e-5)


def test_the_pinball_loss_by_hand() -> None:
    """Errors 2 above and 1 below at the quantile 0.9: (0.9 · 2 + 0.1 · 1) / 2."""
    found = loss("value", "quantile", q=0.9)
    answers = torch.zeros(1, CLASSES)
    targets = torch.tensor([[2.0, -1.0, 2.0, -1.0]])
    assert found(answers, targets).item() == pytest.approx((1.8 + 0.1) / 2)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    """n ÷ (classes · count): 6 ÷ (4 · 3), 6 ÷ (4 · 2), 6 ÷ (4 · 1); class 3 does not occur."""
    found = loss("label", "cross_entropy", [0, 0, 0, 1, 1, 2], class_weights="balanced")
    assert found.class_weights is not None
    assert found.class_weights.tolist() == pytest.approx([0.5, 0.75, 1.5, 0])
    several = np.array([[1, 0, 0, 1], [1, 0, 1, 1], [0, 0, 1, 1]], dtype="uint8")
    uniform = torch.zeros(3, CLASSES)
    balanced = loss("labels", "bce", several, pos_weight="balanced")
    weights = torch.tensor([0.5, 0, 0.5, 0])
    expected = functional.binary_cross_entropy_with_logits(
        uniform, torch.as_tensor(several).float(), pos_weight=weights
    )
    assert balanced(uniform, torch.as_tensor(several)).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("target", "name", "params", "words"),
    [
        ("label", "mse", {}, "mse is for targets of the kind value, not label: use cross_entropy"),
        ("value", "bce", {}, "bce is for targets of the kind labels, not value: use mse, mae"),
        ("label", "cross_entropy", {"class_weights": [1, 2]}, "2 numbers, but .* 4 classes"),
        ("label", "cross_entropy", {"class_weights": "even"}, "nor balanced"),
        ("label", "cross_entropy", {"class_weights": [1, 2, 3, -1]}, "numbers from 0 on"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused_in_one_line(
    target: str, name: str, params: dict[str, Any], words: str
) -> None:
    with pytest.raises(SeqbenchError, match=f"train.loss: .*{words}|train.loss: {words}"):
        loss(target, name, **params)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_falls_in_training(name: str) -> None:
    from seqbench.training.loop import train_model

    of = splits({"label": "label", "labels": "labels", "value": "value"}[LOSSES[name].targets[0]])
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(15, CLASSES))
    settings = {
        "epochs": 40, "batch_size": 4, "schedule": None, "clip_norm": None,
        "optimizer": {"name": "adam", "params": {"lr": 0.05}},
        "loss": resolved(Method(name), LOSSES),
    }  # fmt: skip
    curve = train_model(model, of, settings, device=torch.device("cpu"), seed=0).curve
    assert curve[-1]["train_loss"] < 0.7 * curve[0]["train_loss"] or name == "poisson_nll"
    assert curve[-1]["train_loss"] < curve[0]["train_loss"]


def suite(loss: str) -> str:
    return f"datasets: [{{adding: {{}}, train: {{loss: {loss}}}}}]\nmodels: [rnn]\n"


def test_a_suite_names_a_loss_with_its_parameters(registry: Registry) -> None:
    parsed = parse_suite("datasets: [adding]\nmodels: [rnn]\ntrain: {loss: {huber: {delta: 2}}}",
                         registry=registry)  # fmt: skip
    assert parsed.train.resolved()["loss"] == {"name": "huber", "params": {"delta": 2.0}}
    usual = parse_suite("datasets: [adding]\nmodels: [rnn]\n", registry=registry)
    assert "loss" not in usual.train.resolved()


@pytest.fixture
def registry() -> Registry:
    from seqbench.plugins.discovery import load_plugins

    return load_plugins()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("hubber", "unknown loss 'hubber'; did you mean 'huber'"),
        ("{huber: {delta: [1, 2]}}", "only models and datasets can have a grid"),
        ("{huber: {delta: -1}}", "is less than"),
    ],
)
def test_a_wrong_loss_in_a_suite(given: str, words: str, registry: Registry) -> None:
    with pytest.raises(SeqbenchError, match=words):
        parse_suite(suite(given), registry=registry)


def test_weights_of_a_validation_loss_count_by_class() -> None:
    """The mean over a split is that of torch over all of it, not of parts."""
    from small_splits import answered

    from seqbench.training.evaluation import MeanLoss

    found = loss("label", "cross_entropy", class_weights=[1, 2, 3, 4])
    y = torch.arange(40) % CLASSES
    answers: Tensor = torch.randn(40, CLASSES)
    meter = MeanLoss(found)
    for part in (slice(0, 7), slice(7, 40)):
        meter.update(answered(task("label"), answers[part], y[part]))
    expected = functional.cross_entropy(answers, y, weight=torch.tensor([1.0, 2, 3, 4]))
    assert meter.value == pytest.approx(expected.item(), rel=1e-6)
    assert math.isfinite(meter.value)


def test_a_batch_of_classes_without_weight_counts_nothing() -> None:
    found = loss("label", "cross_entropy", class_weights=[0, 1, 1, 1])
    answers = torch.randn(2, CLASSES, requires_grad=True)
    value = found(answers, torch.zeros(2, dtype=torch.int64))
    value.backward()  # type: ignore[no-untyped-call]
    assert value == 0
    assert answers.grad is not None
    assert not answers.grad.any()


def test_balanced_needs_stored_training_sequences() -> None:
    from seqbench.plugins.choice import Choice
    from seqbench.training.fresh import FreshSplit

    of = splits("label")
    fresh = FreshSplit(of.task, Choice("toy", {}, "toy:load", "toy", "1"), "toy:draw", {}, 10, 0)
    given = PreparedSplits(of.task, fresh, of.test)
    chosen = resolved(Method("cross_entropy", {"class_weights": "balanced"}), LOSSES)
    with pytest.raises(DataError, match="balanced needs stored training sequences"):
        loss_of(given, chosen)
