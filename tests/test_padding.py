"""Whether a model's answers change with padding is found out, and shown beside its figures."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, install
from seqbench_builtin.recurrent.layers import Recurrent
from torch import Tensor, nn
from torch.nn import functional

from seqbench.plugins.choice import Choice
from seqbench.store.validation import adapter
from seqbench.training.causality import Untestable
from seqbench.training.data import cache_dir, open_splits, prepared_path
from seqbench.training.fresh import FreshSplit
from seqbench.training.job import _seed_all as seed_all
from seqbench.training.loop import train_model
from seqbench.training.model import SequenceModel, build_model, forward_of
from seqbench.training.padding import (
    Change,
    Padding,
    answer_scale,
    find_change,
    padded_sequences,
    padding_of,
    relative_difference,
)
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Batch, Split
from seqbench.types import Task

SIZE = 5


def task_of(target: str = "label", length: int = 9) -> Task:
    return Task("features", SIZE, target, 3, length)  # type: ignore[arg-type]


def split_of(task: Task, lengths: Sequence[int]) -> Split:
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(sum(lengths), SIZE, generator=draw)
    y = torch.zeros(sum(lengths) if task.per_step else len(lengths), dtype=torch.int64)
    return Split(task, x, y, offsets=torch.tensor([0, *lengths]).cumsum(0))


def change(encoder: nn.Module, lengths: Sequence[int], readout: str = "last") -> Change | None:
    """Of the answers that a model with this encoder gives to sequences of these lengths."""
    torch.manual_seed(0)
    target = "label_per_step" if readout == "per_step" else "label"
    task = task_of(target, max(lengths))
    return change_of(SequenceModel(task, encoder, SIZE, readout).eval(), task, lengths)


def change_of(model: nn.Module, task: Task, lengths: Sequence[int]) -> Change | None:
    forward = forward_of(model)

    def answer(batch: Batch) -> Tensor:
        with torch.no_grad():
            return forward(batch)

    return find_change(answer, split_of(task, lengths), torch.arange(len(lengths)))


def recurrent(kind: type[nn.Module] = nn.GRU, **parameters: Any) -> nn.Module:
    torch.manual_seed(1)
    given = {"hidden_size": 4, "num_layers": 1, "bidirectional": False, "dropout": 0.0}
    return Recurrent(kind, SIZE, **{**given, **parameters})


class WithoutLengths(nn.Module):
    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.bidirectional = getattr(encoder, "bidirectional", False)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.encoder(x)
        return hidden


class LongConvolution(nn.Module):
    """Causal, by Fourier transforms, whose rounding errors reach every step."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(2048, SIZE) / 32)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        one, other = (
            torch.fft.rfft(part, 2 * length, dim=-2) for part in (x, self.kernel[:length])
        )
        hidden: Tensor = torch.fft.irfft(one * other, 2 * length, dim=-2)
        return hidden[:, :length]


class Drops(nn.Linear):
    """Random in evaluation mode, from torch's generator."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(super().forward(x), 0.5)


class OnceInAWhile(nn.Linear):
    """Random in evaluation mode: half of the answers are doubled."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * random.choice([1, 2])


def test_the_encoder_in_the_docs_ignores_padding() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(class Centered.*?)^```", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"torch": torch, "nn": nn}
    exec(code, names)
    encoder = names["Centered"](SIZE, 4)
    for readout in READOUTS:
        assert change(encoder, (3, 9, 1, 6), readout) is None
        assert change(WithoutLengths(encoder), (3, 9, 1, 6), readout) is not None


READOUTS = ("last", "mean", "max", "per_step")
LENGTHS = ((1, 2), (3, 9, 1, 6), (7, 7, 2), (140, 300, 4, 299))


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_models_that_ignore_padding(lengths: Sequence[int], readout: str) -> None:
    models = (
        recurrent(), recurrent(nn.LSTM, num_layers=2), recurrent(bidirectional=True),
        recurrent(nn.LSTM, bidirectional=True, num_layers=2), nn.Linear(SIZE, 4),
        WithoutLengths(recurrent()), LongConvolution(),
    )  # fmt: skip
    for model in models:
        assert change(model, lengths, readout) is None, model


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_backward_direction_that_begins_in_the_padding_is_found(
    lengths: Sequence[int], readout: str
) -> None:
    found = change(WithoutLengths(recurrent(bidirectional=True)), lengths, readout)
    assert found is not None
    assert found.by > 0.001
    assert (found.length < found.padded, found.padded) == (True, max(lengths))


def test_a_change_is_relative_to_the_largest_answer_of_its_output() -> None:
    """Worked by hand: an excluded class, huge everywhere, hides nothing; a small one is compared
    with a typical one.
    """
    answers = torch.tensor([[2.0, -1e9, 0.001], [-4.0, -1e9, 0.0]])
    scale = answer_scale(answers)
    assert scale.tolist() == [4.0, 1e9, 4.0]
    other = answers + torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    assert relative_difference(other, answers, scale) == 0.25
    assert relative_difference(torch.full((2, 3), torch.nan), answers, scale) == float("inf")

    class Adds(nn.Module):
        """The first output also counts the steps of a batch."""

        def forward(self, x: Tensor) -> Tensor:
            return (
                torch.tensor([3.0, -1e9, 1.0])
                + functional.one_hot(torch.zeros(len(x), dtype=torch.int64), 3) * x.shape[1]
            )

    found = change_of(Adds(), task_of(length=4), (1, 4))
    assert found is not None
    assert found.by == pytest.approx(3 / 7)
    assert (found.length, found.padded) == (1, 4)
    assert str(found) == (
        "the answer to a sequence of 1 step, padded to 4 in a batch, differs by 0.43 times the "
        "largest answer"
    )


@pytest.mark.parametrize("model", [Drops, OnceInAWhile])
def test_what_varies_cannot_be_tested(model: type[nn.Linear]) -> None:
    random.seed(1)
    with pytest.raises(Untestable, match="its answers to the same input vary"):
        change(model(SIZE, 4), (2, 6, 1, 5))


def test_an_answer_that_is_not_finite_only_with_padding_is_a_change() -> None:
    class Divides(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            quotient: Tensor = x[:, 0, :3] / x[:, -1].norm(dim=-1, keepdim=True)
            return quotient

    class NeverFinite(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, 0, :3] / 0

    task = task_of()
    found = change_of(Divides(), task, (2, 9))
    assert str(found).endswith("padded to 9 in a batch, is not finite")
    tested = padding_of(Divides(), split_of(task, (2, 9)), torch.device("cpu"))
    assert tested == Padding(unknown="its answers are finite alone, but not with padding")
    assert tested.warning.startswith("its answers are finite alone, but not with padding: let its")
    with pytest.raises(Untestable, match="its answer is not finite"):
        change_of(NeverFinite(), task, (2, 9))


def test_a_model_without_an_answer_cannot_be_tested() -> None:
    tested = padding_of(nn.Linear(2, 2), split_of(task_of(), (2, 9)), torch.device("cpu"))
    assert tested.unknown.startswith("it has no answer: ")
    assert not tested.warning


def test_of_two_tests_the_larger_change_counts() -> None:
    assert Padding(0.1) | Padding(0.3) == Padding(0.3)
    assert Padding(0.1) | Padding(unknown="why") == Padding(0.1)
    assert Padding() | Padding(unknown="why") == Padding(unknown="why")


def draw(seed: int, count: int, *, unequal_from: int) -> Any:
    """Fresh sequences, of one length in the first steps; ``seed`` depends on the step."""
    del seed
    drawn.append(count)
    lengths = [2 + (row % 3 if len(drawn) > unequal_from else 0) for row in range(count)]
    return [torch.randn(n, SIZE) for n in lengths], torch.zeros(count, dtype=torch.int64)


drawn: list[int] = []


def test_sequences_that_are_padded_are_looked_for() -> None:
    task = task_of()
    ragged, plain = split_of(task, (2, 9)), split_of(task, (9, 9))
    plain = Split(task, plain.inputs.view(2, 9, SIZE), plain.targets)
    batches: dict[str, Any] = {"batch_size": 4, "seed": 0}
    alike = replace(ragged, one_length=True)
    for splits, found in (
        (PreparedSplits(task, plain, plain), None),
        (PreparedSplits(task, plain, ragged), ragged),
        (PreparedSplits(task, ragged, plain), ragged),
        (PreparedSplits(task, plain, plain, ragged), ragged),
        (PreparedSplits(task, alike, alike), None),
    ):
        assert padded_sequences(splits, **batches) is found
    for unequal_from, expected in ((0, 1), (3, 4), (100, 8)):
        drawn.clear()
        choice = Choice("d", {}, "test_padding:load", "d", "1")
        given = {"unequal_from": unequal_from}
        fresh = PreparedSplits(
            task, FreshSplit(task, choice, "test_padding:draw", given, 100, 0), plain
        )
        split = padded_sequences(fresh, **batches)
        assert (split is None, drawn) == (unequal_from == 100, [4] * expected)


PLUGIN = """
    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        return [
            *(seqbench.ModelSpec(name, build=f"padding_layers:{name}")
              for name in ("Looks", "Gated", "Noisy")),
            *(seqbench.ModelSpec(name, build="padding_layers:Flat", kind="model", lengths=name,
                                 tasks=["features/label"]) for name in ("fixed", "bounded")),
        ]

    @seqbench.hookimpl
    def seqbench_datasets():
        return [seqbench.DatasetSpec("ragged", load="padding_data:load")]
    """

LAYERS = """
    import random
    import torch
    from torch import nn
    from torch.nn import functional

    class Looks(nn.Conv1d):
        '''Sees one step ahead, and so what is padded.'''
        def __init__(self, input_size):
            super().__init__(input_size, 8, 3, padding=1, padding_mode="replicate")

        def forward(self, x):
            return torch.tanh(super().forward(x.mT).mT)

    class Gated(nn.GRU):
        '''Its gate is closed at first; training opens it.'''
        def __init__(self, input_size):
            super().__init__(input_size, 8, batch_first=True)
            self.gate = nn.Parameter(torch.zeros(8))

        def forward(self, x):
            hidden = super().forward(x)[0]
            return hidden + self.gate * hidden[:, -1:]

    class Noisy(nn.GRU):
        def __init__(self, input_size):
            super().__init__(input_size, 8, batch_first=True)

        def forward(self, x):
            return super().forward(x)[0] * (1 + 0.1 * random.random())

    class Flat(nn.Module):
        '''Up to the length of its task.'''
        def __init__(self, task):
            super().__init__()
            self.length = task.length
            self.layer = nn.Linear(task.length * task.input_size, task.output_size)

        def forward(self, x):
            return self.layer(functional.pad(x, (0, 0, 0, self.length - x.shape[1])).flatten(1))
    """

DATA = """
    import numpy as np
    import seqbench

    def load(context):
        random = np.random.RandomState(0)
        def split(count):
            x = [random.randn(n, 2).astype("float32") for n in random.randint(3, 11, count)]
            x[0] = random.randn(10, 2).astype("float32")
            return x, np.array([int(one[-1, 0] > 0) for one in x])
        return seqbench.Splits(seqbench.Task("features", 2, "label", 2, 10), split(80), split(40))
    """

SUITE = """
    datasets: [ragged]
    models:
      - {gru: {hidden_size: 8, num_layers: 2, dropout: 0.2}}
      - Looks
      - Gated
      - Noisy
      - fixed
      - bounded
    train: {epochs: 3, batch_size: 10, optimizer: {adam: {lr: 0.05}}}
    seeds: 2
    measure: [accuracy]
    """


def test_a_trial_whose_answers_change_with_padding_says_so(
    site: Path, write_suite: Callable[[str], Path], seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    modules = {"padding": PLUGIN, "padding_layers": LAYERS, "padding_data": DATA}
    install(site, "padding", modules, "padding = padding")
    suite = write_suite(SUITE)
    done = seqbench_cli("run", suite, "--json")
    assert done.returncode == 0, done.stderr  # a model is skipped: no failure
    document = json.loads(done.stdout)
    trials = {(one["label"], one["seed"]): one for one in document["trials"]}
    changing = {label for (label, _), one in trials.items() if one["padding_changes"] > 0.001}
    assert changing == {"Looks", "Gated"}
    assert all(one["padding_changes"] == 0 for (label, _), one in trials.items()
               if label not in changing)  # fmt: skip
    unknown = {label for (label, _), one in trials.items() if one["padding_unknown"]}
    assert unknown == {"Noisy"}
    for seed in (0, 1):
        skipped = trials["fixed", seed]
        assert (skipped["status"], skipped["reason"]) == (
            "skipped",
            "model fixed accepts sequences of one length only (lengths: fixed), but those of "
            "dataset ragged differ in length",
        )
        assert trials["bounded", seed]["status"] == "ok"
    warnings = [line for line in done.stderr.splitlines() if "change with padding" in line]
    assert sorted(line.split(" on ")[0] for line in warnings) == [
        "warning: Gated",
        "warning: Looks",
    ]  # once for each model, not for each seed
    assert all("let its `forward` take `lengths`" in line for line in warnings)
    folder = tmp_path / document["run"]
    shown = " ".join(seqbench_cli("show", folder).stdout.split())
    assert "Answers change with padding: Looks (by up to" in shown
    assert "Not known whether the answers of Noisy change with padding: its answers to" in shown
    listed = seqbench_cli("run", suite, "--dry-run")
    assert "fixed on ragged is skipped: model fixed accepts" in listed.stdout + listed.stderr
    alone = seqbench_cli("run", suite, "--json", "--model", "Looks", "--seeds", "1",
                         "--set", "train.batches=one_length")  # fmt: skip
    assert "padding" not in alone.stderr
    assert [one["padding_changes"] for one in json.loads(alone.stdout)["trials"]] == [0]
    _trained_as_without_the_test(folder, trials["gru", 0]["id"])


def _trained_as_without_the_test(folder: Path, trial: str) -> None:
    """The test changes no bit of the training, here of one without it."""
    from safetensors.torch import load_file

    plan = json.loads((folder / "plan.json").read_text())
    (case,) = [one for one in plan["cases"] if trial.startswith(one["id"])]
    dataset = adapter(Choice).validate_python(case["dataset"])
    splits = open_splits(prepared_path(dataset, cache_dir()))
    seed_all(0)
    model = build_model(adapter(Choice).validate_python(case["model"]), splits.task)
    train_model(model, splits, case["train"], device=torch.device("cpu"), seed=0)
    for name, weights in load_file(folder / f"weights/{trial}.safetensors").items():
        assert torch.equal(model.state_dict()[name], weights)
