"""Sequences of unequal length, weights and every kind of target, against numbers worked by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqbench.plugins.choice import Choice
from seqbench.training.batches import batches_of
from seqbench.training.confusion import Confusion
from seqbench.training.data_checks import checked_splits
from seqbench.training.evaluation import Answered, MeanLoss, TaskMetric, evaluate
from seqbench.training.loop import train_model
from seqbench.training.losses import default_loss
from seqbench.training.model import SequenceModel, build_model, forward_of
from seqbench.training.parts import Parts
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Batch, Split
from seqbench.training.split_checks import Flaw, checked_split
from seqbench.types import TARGETS, Splits, Task

DATA = Choice("toy", {}, "toy:load", "toy", "1")
CPU = torch.device("cpu")

SETTINGS = {
    "epochs": 2, "batch_size": 4, "optimizer": {"name": "adam", "params": {"lr": 0.01}},
    "schedule": None, "clip_norm": None,
}  # fmt: skip

#: Three steps of a task with two classes per step; the second sequence has one step.
PER_STEP = Task("features", 1, "label_per_step", 2, 2)


def choice(name: str, **params: Any) -> Choice:
    """A built-in model with small sizes."""
    given = {
        "hidden_size": 5, "num_layers": 1, "bidirectional": False, "dropout": 0.0,
        "readout": "last", "embedding_size": 3, **params,
    }  # fmt: skip
    path = f"seqbench_builtin.recurrent.layers:{name}"
    return Choice(name, given, path, "seqbench", "1", kind="encoder")


def task_of(target: str, kind: str = "features", length: int = 9) -> Task:
    return Task(kind, 3, target, 2, length)  # type: ignore[arg-type]


def sequences(task: Task, lengths: Sequence[int], seed: int = 0) -> tuple[list[Any], Any]:
    """Random sequences of these lengths, as a plugin would return them."""
    random = np.random.RandomState(seed)
    if task.input == "tokens":
        x = [random.randint(0, task.input_size, size=n) for n in lengths]
    else:
        x = [random.randn(n, task.input_size).astype("float32") for n in lengths]
    shapes = [(n,) for n in lengths] if task.per_step else [(len(lengths),)]
    y: list[Any] = []
    for shape in shapes:
        if task.target_type == "label":
            y.append(random.randint(0, task.output_size, size=shape))
        elif task.target_type == "labels":
            y.append(random.randint(0, 2, size=(*shape, task.output_size)))
        else:
            y.append(random.randn(*shape, task.output_size).astype("float32"))
    return x, y if task.per_step else y[0]


def split(task: Task, lengths: Sequence[int], seed: int = 0) -> Split:
    return checked_split(sequences(task, lengths, seed), task, "test")


class Known(nn.Module):
    """Answers with its inputs, whatever they are; padding gets an absurd answer."""

    def __init__(self, per_step: bool = True):
        super().__init__()
        self.per_step = per_step

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        answers = x.clone()
        if lengths is not None:
            padding = torch.arange(x.shape[1]) >= lengths[:, None]
            answers[padding] = 1e6
        return answers if self.per_step else answers[:, 0]


# Batches


def test_a_batch_is_padded_at_the_end_and_only_to_its_longest_sequence() -> None:
    task = Task("tokens", 9, "label_per_step", 9, 4)
    x = [np.array([1, 2, 3, 4]), np.array([5]), np.array([6, 7])]
    whole = checked_split((x, x), task, "train")
    batch = whole.batch(torch.tensor([2, 1]))
    assert batch.inputs.tolist() == [[6, 7], [5, 0]]
    assert batch.lengths is not None
    assert batch.weights is not None
    assert batch.lengths.tolist() == [2, 1]
    assert batch.weights.tolist() == [[1, 1], [1, 0]]
    assert batch.targets[0].tolist() == [6, 7]
    alone = whole.batch(torch.tensor([0]))
    assert alone.inputs.tolist() == [[1, 2, 3, 4]]
    assert alone.lengths is None
    assert alone.weights is None


def test_exactly_cuts_and_repeats() -> None:
    task = Task("tokens", 9, "label_per_step", 9, 4)
    x = [np.array([1, 2, 3, 4]), np.array([5]), np.array([6, 7])]
    batch = checked_split((x, x), task, "train").exactly(torch.tensor([0, 1, 2]), 3)
    assert batch.inputs.tolist() == [[1, 2, 3], [5, 5, 5], [6, 7, 6]]
    assert batch.targets.tolist() == batch.inputs.tolist()
    assert batch.lengths is None


def test_a_list_of_equal_lengths_is_stored_as_one_array() -> None:
    task = task_of("label", length=4)
    listed = checked_split(sequences(task, [4, 4, 4]), task, "train")
    x, y = sequences(task, [4, 4, 4])
    stacked = checked_split((np.stack(x), y), task, "train")
    assert listed.offsets is None
    assert torch.equal(listed.inputs, stacked.inputs)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    size=st.integers(1, 7),
    order=st.sampled_from(["bucketed", "one_length", "shuffled"]),
    drop=st.booleans(),
    seed=st.integers(0, 5),
)
def test_an_epoch_has_every_sequence_once(
    lengths: list[int], size: int, order: str, drop: bool, seed: int
) -> None:
    drop = drop and order != "one_length" and len(lengths) >= size
    task = Task("tokens", 100, "label", 2, max(lengths))
    x = [np.full(n, number) for number, n in enumerate(lengths)]
    train = (x, np.zeros(len(x), dtype=int))
    splits = checked_splits(Splits(task, train, train), DATA)
    chosen = {"batch_size": size, "batches": order, "drop_last": drop}
    one, other = (batches_of(splits, chosen, device=CPU, seed=seed) for _ in range(2))
    seen = []
    for _ in range(2):
        batches = list(one.epoch())
        assert len(batches) == one.per_epoch
        rows = [row for batch in batches for row in batch.inputs[:, 0].tolist()]
        assert len(rows) == len(set(rows)) == (len(x) // size * size if drop else len(x))
        if order == "one_length":
            assert all(batch.lengths is None for batch in batches)
        seen.append(rows)
    again = [row for batch in other.epoch() for row in batch.inputs[:, 0].tolist()]
    assert again == seen[0]  # the same seed, the same batches


def test_bucketed_batches_have_little_padding_and_leave_no_length_out() -> None:
    task = Task("tokens", 2, "label", 2, 100)
    random = np.random.RandomState(0)
    lengths = [*random.randint(5, 101, size=1002), 100]
    train = sequences(task, lengths)
    splits = checked_splits(Splits(task, train, train), DATA)
    shares = {}
    dropped = set()
    for order in ("bucketed", "shuffled", "one_length"):
        chosen = {"batch_size": 10, "batches": order, "drop_last": order == "bucketed"}
        batches = batches_of(splits, chosen, device=CPU, seed=0)
        for _ in range(3):
            for batch in batches.epoch():
                if order == "bucketed":
                    dropped.add(batch.inputs.shape[1])
        shares[order] = batches.padding
    assert shares["one_length"] == 0
    assert shares["bucketed"] is not None
    assert shares["shuffled"] is not None
    assert shares["bucketed"] < 0.03 < 0.3 < shares["shuffled"]
    assert max(dropped) == 100  # the longest are not always in the batch that is left out


# Losses and figures


def test_uniform_answers_have_the_logarithm_of_the_number_of_classes_as_loss() -> None:
    """Copying: only the last ten of 120 steps count."""
    task = Task("tokens", 10, "label_per_step", 8, 120)
    y = torch.full((5, 120), -100)
    y[:, -10:] = torch.randint(0, 8, (5, 10))
    whole = checked_split((torch.zeros(5, 120, dtype=torch.int64), y), task, "test")
    batch = whole.batch(torch.arange(5))
    loss = default_loss(task)(torch.zeros(5, 120, 8), batch.targets, batch.weights)
    assert abs(loss.item() - math.log(8)) < 1e-6

    class Uniform(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros(*x.shape, 8)

    meter = MeanLoss(default_loss(task))
    evaluate(Uniform(), whole, device=CPU, meters=[meter])
    assert abs(meter.value - math.log(8)) < 1e-6


def test_a_loss_is_the_mean_over_all_counted_steps_not_of_means() -> None:
    """Squared errors 1 (three steps) and 9 (one step): (1 + 1 + 1 + 9) / 4 = 3, not (1 + 9) / 2."""
    task = Task("features", 1, "value_per_step", 1, 3)
    x = [np.zeros((3, 1), "float32"), np.zeros((1, 1), "float32")]
    y = [np.ones((3, 1), "float32"), np.full((1, 1), 3, "float32")]
    whole = checked_split((x, y), task, "test")
    batch = whole.batch(torch.arange(2))
    loss = default_loss(task)(torch.zeros(2, 3, 1), batch.targets, batch.weights)
    assert loss.item() == pytest.approx(3)
    meter = MeanLoss(default_loss(task))
    figure = evaluate(Known(), whole, device=CPU, meters=[meter])
    assert figure == pytest.approx(3)
    assert meter.value == pytest.approx(3)


def test_weights_in_loss_accuracy_and_confusion() -> None:
    """Steps with logits (0, ln 3): class 1 has probability 3/4, class 0 has 1/4."""
    logits = torch.tensor([[0.0, math.log(3)]])
    x = [logits.repeat(3, 1).numpy(), logits.numpy()]
    y = [np.array([1, 0, 0]), np.array([1])]
    task = Task("features", 2, "label_per_step", 2, 3)
    weighted = checked_split(
        (x, y, [np.array([1, 0.5, 0], "float32"), np.array([2.5], "float32")]), task, "test"
    )
    loss, confusion = MeanLoss(default_loss(task)), Confusion(task)
    accuracy = evaluate(Known(), weighted, device=CPU, meters=[loss, confusion])
    assert accuracy == pytest.approx(3.5 / 4)
    assert loss.value == pytest.approx((3.5 * math.log(4 / 3) + 0.5 * math.log(4)) / 4)
    assert confusion.result() == {"confusion_reason": "targets have other weights than 0 and 1"}
    masked = checked_split((x, [np.array([1, 0, -100]), np.array([-100])]), task, "test")
    loss, confusion = MeanLoss(default_loss(task)), Confusion(task)
    assert evaluate(Known(), masked, device=CPU, meters=[loss, confusion]) == 0.5
    assert loss.value == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    assert confusion.result()["confusion"] == [[0, 1], [0, 1]]
    assert confusion.result()["recall"] == [0, 1]


def test_several_labels_at_once() -> None:
    """Logits 0: binary cross-entropy ln 2. A sequence is right if all of its labels are."""
    task = Task("features", 2, "labels", 2, 2)
    x = [np.array([[1, -1], [9, 9]], "float32"), np.array([[1, 1]], "float32")]
    y = np.array([[1, 0], [1, 0]])
    whole = checked_split((x, y), task, "test")
    assert whole.targets.dtype == torch.uint8
    meter = Confusion(task)
    assert evaluate(Known(per_step=False), whole, device=CPU, meters=[meter]) == 0.5
    assert meter.result() == {"confusion_reason": "several labels at once"}
    loss = default_loss(task)(torch.zeros(2, 2), whole.targets)
    assert loss.item() == pytest.approx(math.log(2))


def test_a_loss_of_nothing_that_counts_is_zero_and_has_no_gradient() -> None:
    task = Task("features", 1, "label", 2, 1)
    answer = torch.randn(3, 2, requires_grad=True)
    loss = default_loss(task)(answer, torch.zeros(3, dtype=torch.int64), torch.zeros(3))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert answer.grad is not None
    assert not answer.grad.any()


def test_the_loss_equals_that_of_torch_with_ignore_index() -> None:
    task = Task("features", 3, "label_per_step", 4, 7)
    targets = torch.randint(0, 4, (5, 7))
    targets[torch.rand(5, 7) < 0.4] = -100
    whole = checked_split((torch.randn(5, 7, 3), targets), task, "test")
    batch, answer = whole.batch(torch.arange(5)), torch.randn(5, 7, 4)
    expected = nn.functional.cross_entropy(answer.flatten(0, 1), targets.flatten())
    assert default_loss(task)(answer, batch.targets, batch.weights).item() == pytest.approx(
        expected.item(), rel=1e-6
    )


def test_a_mask_of_booleans_is_a_weight_and_one_weight_covers_a_sequence() -> None:
    task = Task("features", 1, "label_per_step", 2, 3)
    x = [np.zeros((3, 1), "float32"), np.zeros((1, 1), "float32")]
    y = [np.zeros(3, dtype=int), np.zeros(1, dtype=int)]
    masked = checked_split((x, y, [np.array([True, False, True]), np.array([True])]), task, "a")
    assert masked.weights is not None
    assert masked.weights.tolist() == [1, 0, 1, 1]
    each = checked_split((x, y, np.array([2.0, 0.5])), task, "a")
    assert each.weights is not None
    assert each.weights.tolist() == [2, 2, 2, 0.5]


# Models


@pytest.mark.parametrize("kind", ["features", "tokens"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "params", [{}, {"bidirectional": True, "num_layers": 2}, {"readout": "mean"},
               {"readout": "max", "bidirectional": True}],
)  # fmt: skip
def test_an_answer_is_the_same_alone_and_padded(
    kind: str, target: str, params: dict[str, Any]
) -> None:
    task = task_of(target, kind)
    whole = split(task, [9, 1, 4, 4, 7, 2])
    for name in ("rnn", "lstm", "gru"):
        extra = {"nonlinearity": "tanh"} if name == "rnn" else {}
        torch.manual_seed(0)
        for dtype, close in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
            model = build_model(choice(name, **params, **extra), task).to(dtype).eval()
            together = as_type(whole.batch(torch.arange(6)), dtype)
            answers = forward_of(model)(together)
            for row in range(6):
                alone = forward_of(model)(as_type(whole.batch(torch.tensor([row])), dtype))
                steps = int(whole.lengths[row])
                padded = answers[row : row + 1, :steps] if task.per_step else answers[row][None]
                apart = (padded - alone).abs().max() / alone.abs().max()
                assert apart < close


def as_type(batch: Batch, dtype: torch.dtype) -> Batch:
    inputs = batch.inputs.to(dtype) if batch.inputs.is_floating_point() else batch.inputs
    return Batch(inputs, batch.targets, batch.lengths, batch.weights)


class Sees(nn.Module):
    """An encoder that keeps what it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor | None] = []

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        self.seen.append(lengths)
        return x


def test_an_encoder_is_given_the_lengths_of_a_padded_batch_only() -> None:
    task = task_of("label", length=5)
    encoder = Sees()
    model = SequenceModel(task, encoder, 3, "last")
    whole = split(task, [5, 2, 5])
    encoder.seen.clear()
    forward_of(model)(whole.batch(torch.tensor([0, 1])))
    forward_of(model)(whole.batch(torch.tensor([0, 2])))
    assert encoder.seen[0] is not None
    assert encoder.seen[0].tolist() == [5, 2]
    assert encoder.seen[1] is None


def test_readouts_take_true_steps_only() -> None:
    hidden = torch.tensor([[[1.0], [5.0], [3.0]], [[-4.0], [9.0], [9.0]]])
    lengths = torch.tensor([3, 1])
    task = Task("features", 1, "label", 2, 3)
    found = {
        readout: SequenceModel(task, Sees(), 1, readout)._summary(hidden, lengths).flatten()
        for readout in ("last", "mean", "max")
    }
    assert {name: values.tolist() for name, values in found.items()} == {
        "last": [3, -4], "mean": [3, -4], "max": [5, -4],
    }  # fmt: skip


@pytest.mark.parametrize("readout", ["last", "mean", "max"])
def test_steps_give_the_answer_of_the_whole_sequence(readout: str) -> None:
    task = task_of("value")
    model: Any = build_model(choice("gru", readout=readout), task).eval()
    x, state = torch.randn(2, 9, 3), None
    for step in range(9):
        answer, state = model.step(x[:, step], state)
    assert torch.allclose(answer, model(x), atol=1e-6)


# Evaluation and training


@pytest.mark.parametrize("target", TARGETS)
def test_an_evaluation_equals_one_sequence_at_a_time(target: str) -> None:
    task = task_of(target)
    lengths = np.random.RandomState(3).randint(1, 10, size=1234).tolist()
    x, y = sequences(task, lengths)
    whole = checked_split((x, y), task, "test")
    torch.manual_seed(1)
    model = build_model(choice("lstm"), task).eval()
    rows: list[Answered] = []
    loss = MeanLoss(default_loss(task))
    figure = evaluate(model, whole, device=CPU, meters=[loss, Rows(rows)])
    with torch.inference_mode():
        alone = [model(torch.from_numpy(one)[None]) for one in x]
    expected = torch.cat([one.flatten(0, -2) for one in alone])
    assert torch.allclose(torch.cat([one.answers for one in rows]), expected, atol=1e-5)
    own, mean = TaskMetric(task), MeanLoss(default_loss(task))
    targets = torch.from_numpy(np.concatenate(y) if task.per_step else y)
    everything = Answered(expected, targets, None, torch.tensor(lengths))
    for meter in (own, mean):
        meter.update(everything)
    assert figure == pytest.approx(own.value, rel=1e-6)
    assert loss.value == pytest.approx(mean.value, rel=1e-5)


class Rows:
    def __init__(self, kept: list[Answered]):
        self.kept = kept

    def update(self, answered: Answered) -> None:
        self.kept.append(answered)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("batches", ["bucketed", "one_length", "shuffled"])
def test_training_on_unequal_lengths_repeats_bit_for_bit(target: str, batches: str) -> None:
    task = task_of(target)
    train = sequences(task, [9, 3, 3, 5, 1, 7, 7, 2, 9, 4])
    splits = checked_splits(
        Splits(task, train, sequences(task, [2, 8, 3], 1), sequences(task, [4, 5], 2)), DATA
    )
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        model = build_model(choice("gru"), task)
        trained = train_model(model, splits, {**SETTINGS, "batches": batches}, device=CPU, seed=3)
        found.append((model.state_dict(), trained.metrics, trained.curve))
    assert all(torch.equal(found[0][0][name], found[1][0][name]) for name in found[0][0])
    assert found[0][1] == found[1][1]
    assert found[0][2][-1]["train_loss"] == found[1][2][-1]["train_loss"]
    padding = found[0][1]["padding"]
    if batches == "one_length":
        assert padding == 0
    else:
        assert 0 < padding < (0.35 if batches == "bucketed" else 0.7)


def test_padding_does_not_change_what_is_learned() -> None:
    """A step on a padded batch is the step on its sequences, weighted by their true steps."""
    task = task_of("label_per_step")
    whole = split(task, [9, 2])
    torch.manual_seed(0)
    model = build_model(choice("lstm"), task)
    padded = whole.batch(torch.arange(2))
    default_loss(task)(forward_of(model)(padded), padded.targets, padded.weights).backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    for row, steps in enumerate((9, 2)):
        one = whole.batch(torch.tensor([row]))
        loss = default_loss(task)(model(one.inputs), one.targets) * steps / 11
        loss.backward()  # type: ignore[no-untyped-call]
    for before, parameter in zip(gradients, model.parameters(), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(before, parameter.grad, atol=1e-6)


# Test sets and ranges of length


def several(headline: str = "") -> PreparedSplits:
    """Test sets whose answers are the inputs: 2 of 4 right in `short`, 3 of 3 in `long`."""
    task = Task("features", 2, "label", 2, 3)

    def known(right: Sequence[int], steps: int) -> tuple[Any, Any]:
        x = [np.tile(np.array([[0, 1]], "float32"), (steps, 1)) for _ in right]
        return x, np.array(right)

    tests = {"short": known([1, 0, 1, 0], 1), "long": known([1, 1, 1], 3)}
    return checked_splits(Splits(task, known([1], 2), tests=tests, headline=headline), DATA)


@pytest.mark.parametrize(("headline", "value"), [("", 0.75), ("short", 0.5), ("long", 1.0)])
def test_the_headline_is_the_mean_over_test_sets_or_one(headline: str, value: float) -> None:
    splits = several(headline)
    parts, confusion = Parts(splits.test), Confusion(splits.task)
    model = Known(per_step=False)
    found = evaluate(model, splits.test, device=CPU, meters=[parts, confusion])
    assert found == pytest.approx(value)
    assert parts.result()["parts"] == [
        {"name": "short", "shortest": 1, "longest": 1, "sequences": 4, "value": 0.5},
        {"name": "long", "shortest": 3, "longest": 3, "sequences": 3, "value": 1.0},
    ]
    counts = sum(map(sum, confusion.result()["confusion"]))
    assert counts == {"": 7, "short": 4, "long": 3}[headline]


def test_the_figure_of_each_length() -> None:
    task = Task("features", 2, "label_per_step", 2, 3)
    x = [np.tile(np.array([[0, 1]], "float32"), (n, 1)) for n in (3, 1, 3)]
    y = [np.array([1, 1, 0]), np.array([0]), np.array([1, 0, 0])]
    whole = checked_split((x, y), task, "test")
    parts = Parts(whole)
    evaluate(Known(), whole, device=CPU, meters=[parts])
    assert parts.result()["parts"] == [
        {"name": "", "shortest": 1, "longest": 1, "sequences": 1, "value": 0.0},
        {"name": "", "shortest": 3, "longest": 3, "sequences": 2, "value": 0.5},
    ]


def test_many_lengths_are_ranges_with_about_equally_many_sequences() -> None:
    task = Task("tokens", 2, "label", 2, 1000)
    lengths = np.random.RandomState(0).randint(1, 1001, size=500).tolist()
    lengths[0] = 1000
    parts = Parts(split(task, lengths))
    found = parts.result()["parts"]
    assert len(found) == 10
    assert sum(part["sequences"] for part in found) == 500
    assert all(40 <= part["sequences"] <= 60 for part in found)
    assert all(a["longest"] < b["shortest"] for a, b in itertools.pairwise(found))


# Storing


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    from seqbench.training.data import _store, open_splits

    splits = several("long")
    _store(splits, DATA, tmp_path / "x.safetensors")
    opened = open_splits(tmp_path / "x.safetensors")
    assert opened.test.sets == splits.test.sets
    assert opened.test.headline == "long"
    assert opened.test.offsets is not None
    assert opened.test.offsets.dtype == torch.int64
    here, there = splits.tensors(), opened.tensors()
    assert set(here) == set(there)
    assert all(torch.equal(here[name], there[name]) for name in here)


class Constant(nn.Module):
    """Answers 0 whatever it is asked, and learns nothing at a learning rate of 0."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.answer + 0 * x


@pytest.mark.parametrize("order", ["bucketed", "one_length", "shuffled"])
def test_the_training_loss_is_the_mean_over_all_targets_in_any_order(order: str) -> None:
    """Squared errors 100 at one step, 0.25 at each of 99 steps: (100 + 99 · 0.25) / 100."""
    task = Task("features", 1, "value_per_step", 1, 99)
    x = [np.zeros((1, 1), "float32"), np.zeros((99, 1), "float32")]
    y = [np.full((1, 1), 10, "float32"), np.full((99, 1), 0.5, "float32")]
    splits = checked_splits(Splits(task, (x, y), (x, y), (x, y)), DATA)
    still = {"name": "sgd", "params": {"lr": 0.0}}
    chosen = {**SETTINGS, "epochs": 1, "batch_size": 1, "optimizer": still, "batches": order}
    curve = train_model(Constant(), splits, chosen, device=CPU, seed=0).curve
    assert curve[0]["train_loss"] == pytest.approx((100 + 99 / 4) / 100)
    assert curve[0]["validation_loss"] == pytest.approx((100 + 99 / 4) / 100)


def test_a_first_batch_of_which_nothing_counts_is_no_divergence() -> None:
    task = Task("features", 1, "value", 1, 2)
    x, y = np.zeros((40, 2, 1), "float32"), np.full((40, 1), 3, "float32")
    weights = np.zeros(40, "float32")
    weights[::8] = 1
    splits = checked_splits(Splits(task, (x, y, weights), (x, y)), DATA)
    for seed in range(6):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(2, 1))
        curve = train_model(model, splits, SETTINGS, device=CPU, seed=seed).curve
        assert 1 < curve[0]["train_loss"] < 20


def test_an_answer_that_is_nan_where_nothing_counts_spoils_no_loss() -> None:
    task = Task("features", 1, "value_per_step", 1, 3)
    loss = default_loss(task)
    answer = torch.tensor([[[1.0], [math.nan], [2.0]]], requires_grad=True)
    found = loss(answer, torch.zeros(1, 3, 1), torch.tensor([[1.0, 0.0, 1.0]]))
    found.backward()  # type: ignore[no-untyped-call]
    assert found.item() == pytest.approx(2.5)
    assert answer.grad is not None
    assert answer.grad.flatten().tolist() == [1, 0, 2]


def test_evenly_spaced_sequences_of_a_split() -> None:
    task = Task("tokens", 100, "label_per_step", 100, 9)
    lengths = [1 + number % 9 for number in range(50)]
    x = [np.full(n, number) for number, n in enumerate(lengths)]
    some = checked_split((x, x), task, "test").spread(5)
    assert some.lengths.tolist() == [lengths[row] for row in (0, 10, 20, 30, 40)]
    assert set(some.batch(torch.tensor([3])).inputs.flatten().tolist()) == {30}
    assert set(some.batch(torch.tensor([4])).targets.flatten().tolist()) == {40}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"headline": None}, "headline is None, not the name of a test set"),
        ({"headline": "z"}, "headline is 'z', not one of `tests`: a, b"),
        ({"tests": {" a": 0}}, "' a' of a test set is not a printable text without spaces"),
        ({"tests": {}}, "there is no test split"),
    ],
)
def test_flaws_of_test_sets(change: dict[str, Any], words: str) -> None:
    task = task_of("label")
    one = sequences(task, [9, 2])
    given = {"tests": {"a": one, "b": one}, "headline": "a", **change}
    if " a" in given["tests"]:
        given["tests"] = {" a": one}
    if not given["tests"]:
        given["headline"] = ""
    with pytest.raises(Flaw, match=words):
        checked_splits(Splits(task, one, **given), DATA)


def test_weights_are_limited_so_that_sums_stay_exact() -> None:
    task = task_of("label")
    x, y = sequences(task, [9, 2])
    for weight in (1e-30, 1e30):
        with pytest.raises(Flaw, match="weights contains"):
            checked_split((x, y, np.array([1, weight])), task, "test")


def test_the_mean_of_true_steps_is_as_exact_in_bf16_as_without_padding() -> None:
    task = Task("features", 1, "label", 2, 64)
    model = SequenceModel(task, Sees(), 64, "mean")
    hidden = torch.rand(2, 64, 64)
    expected = hidden[0, :40].mean(0)
    padded = model._summary(hidden.bfloat16(), torch.tensor([40, 64]))[0]
    alone = hidden[:1, :40].bfloat16().mean(1)[0]
    apart = [(found.float() - expected).abs().max().item() for found in (padded, alone)]
    assert apart[0] <= 1.01 * apart[1]
