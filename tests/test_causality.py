"""Whether a model looks ahead is found out, and a causal task refuses one that does."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import install
from torch import Tensor, nn
from torch.nn import functional

from seqbench.training.causality import Ahead, Untestable, find_ahead

SIZE = 6


class Recurrent(nn.Module):
    def __init__(self, **params: Any):
        super().__init__()
        self.layer = nn.LSTM(SIZE, SIZE, batch_first=True, **params)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.layer(x)[0]
        return hidden


class Attention(nn.Module):
    """One head; ``block``: attention within blocks of so many steps only."""

    def __init__(self, causal: bool, block: int = 0):
        super().__init__()
        self.inward, self.causal, self.block = nn.Linear(SIZE, 3 * SIZE), causal, block

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.inward(x).chunk(3, dim=-1)
        time = torch.arange(x.shape[1])
        allowed = time[:, None] >= time if self.causal else torch.ones(len(time), len(time)).bool()
        if self.block:
            allowed = allowed & (time[:, None] // self.block == time // self.block)
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)


class Convolution(nn.Module):
    """``left``: steps of padding before the sequence; the kernel of 5 steps needs 4 in all."""

    def __init__(self, left: int):
        super().__init__()
        self.left, self.layer = left, nn.Conv1d(SIZE, SIZE, 5)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.layer(functional.pad(x.mT, (self.left, 4 - self.left)))
        return hidden.mT


class LongConvolution(nn.Module):
    """By Fourier transforms, whose rounding errors reach every step."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(1024, SIZE) / 32)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        spectra = (torch.fft.rfft(one, 2 * length, dim=-2) for one in (x, self.kernel[:length]))
        first, second = spectra
        hidden: Tensor = torch.fft.irfft(first * second, 2 * length, dim=-2)
        return hidden[:, :length]


class Peeks(Recurrent):
    """The answer depends on the step so many steps later, besides those before."""

    def __init__(self, distance: int, share: float = 1.0):
        super().__init__()
        self.distance, self.share = distance, share

    def forward(self, x: Tensor) -> Tensor:
        later = functional.pad(x[:, self.distance :], (0, 0, 0, min(self.distance, x.shape[1])))
        return super().forward(x) + self.share * later


class Excludes(Peeks):
    """The other classes than the first three are excluded by huge negative numbers."""

    def forward(self, x: Tensor) -> Tensor:
        excluded = torch.tensor([0.0, 0.0, 0.0, -1e9, -1e9, 0.0])
        return super().forward(x) + excluded


class MixesRows(Recurrent):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - x.mean(dim=0, keepdim=True)


class RunsAlongTheBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.GRU(SIZE, SIZE)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.layer(x)[0]
        return hidden


class OnceInAWhile(Recurrent):
    """Random in evaluation mode: half of the answers are doubled."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * random.choice([1, 2])


class KeepsState(Recurrent):
    state: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        hidden, self.state = super().forward(x) + (0 if self.state is None else self.state), x
        return hidden


def found(model: nn.Module, length: int, batch: int = 3) -> Ahead | None:
    def answer(x: Tensor) -> Tensor:
        with torch.no_grad():
            answers: Tensor = model.eval()(x)
        return answers

    return find_ahead(
        answer, torch.randn(batch, length, SIZE, generator=torch.Generator().manual_seed(9))
    )


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("length", [1, 2, 9, 40, 300])
@pytest.mark.parametrize("batch", [1, 3])
def test_models_that_do_not_look_ahead(length: int, batch: int) -> None:
    models = (Recurrent(), Recurrent(num_layers=3), Attention(causal=True), Convolution(left=4),
              LongConvolution(), MixesRows(), RunsAlongTheBatch(), nn.Linear(SIZE, 2),
              Attention(causal=True, block=4))  # fmt: skip
    for model in models:
        assert found(model, length, batch) is None, model


@pytest.mark.parametrize("length", [2, 9, 40, 300])
@pytest.mark.parametrize("batch", [1, 3])
def test_models_that_look_ahead_are_found_out_with_the_nearest_steps(
    length: int, batch: int
) -> None:
    models = (Recurrent(bidirectional=True), Recurrent(bidirectional=True, num_layers=2),
              Attention(causal=False), Attention(causal=False, block=7), Convolution(left=2),
              Convolution(left=3), Peeks(1), Peeks(1, share=0.01), Excludes(1))  # fmt: skip
    for model in models:
        assert found(model, length, batch) == Ahead(1, 2, length), model


def test_a_step_far_ahead_is_found_where_a_sequence_reaches_it() -> None:
    for length in (20, 21):
        assert found(Peeks(21), length) is None
    assert str(found(Peeks(21), 22)) == (
        "the answer at step 1 of 22 changes with the input at step 22"
    )
    far = found(Peeks(21), 300)
    assert far is not None
    assert far.later - far.step == 21


def test_the_same_step_is_named_every_time() -> None:
    assert len({found(Attention(causal=False, block=7), 200) for _ in range(3)}) == 1
    model, before = Recurrent(), torch.get_rng_state()
    found(model, 30)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("model", [OnceInAWhile, KeepsState])
def test_what_varies_cannot_be_tested(model: type[nn.Module]) -> None:
    random.seed(1)
    with pytest.raises(Untestable, match="its answers to the same input vary"):
        found(model(), 12)


def test_what_has_no_finite_answer_or_no_different_steps_cannot_be_tested() -> None:
    with pytest.raises(Untestable, match="its answer is not finite"):
        find_ahead(lambda x: x / 0, torch.randn(2, 5, 1))
    with pytest.raises(Untestable, match="all steps of its inputs are equal"):
        find_ahead(lambda x: x, torch.ones(2, 5, 1))


def test_inputs_contain_no_values_that_the_data_lack() -> None:
    """Of 1,000 tokens only two occur in the data; this model knows no others."""
    tokens = torch.tensor([[3, 3, 3, 999, 3, 3, 3, 3]])

    def answer(x: Tensor) -> Tensor:
        assert set(x.flatten().tolist()) <= {3, 999}
        return functional.one_hot((x == 3).long().flip(1).cumsum(1).flip(1), 9).float()

    assert find_ahead(answer, tokens) == Ahead(1, 2, 8)


PLUGIN = """
    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec(name, build=f"ahead_layers:{name}") for name in
                ("Gated", "Noisy")]

    @seqbench.hookimpl
    def seqbench_datasets():
        return [seqbench.DatasetSpec("repeated", load="ahead_data:load",
                                     parameters={"causal": True})]
    """

LAYERS = """
    import random
    import torch
    from torch import nn

    class Gated(nn.Module):
        '''Its gate is closed at first; training opens it.'''
        def __init__(self, input_size):
            super().__init__()
            self.layer = nn.GRU(input_size, 8, batch_first=True)
            self.back = nn.Linear(input_size, 8)
            self.gate = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            later = torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], dim=1)
            return self.layer(x)[0] + self.gate * self.back(later)

    class Noisy(nn.Module):
        def __init__(self, input_size):
            super().__init__()
            self.layer = nn.GRU(input_size, 8, batch_first=True)

        def forward(self, x):
            return self.layer(x)[0] * (1 + 0.1 * random.random())
    """

DATA = """
    import torch
    import seqbench

    def load(context, *, causal):
        x = torch.randint(5, (120, 12), generator=torch.Generator().manual_seed(0))
        y = x.roll(-1, dims=1)  # the next token, which only a model that looks ahead can know
        task = seqbench.Task("tokens", 5, "label_per_step", 5, 12, causal=causal)
        return seqbench.Splits(task, (x[:80], y[:80]), (x[80:], y[80:]))
    """

SUITE = """
    datasets: [repeated: {causal: [true, false]}]
    models:
      - {lstm: {hidden_size: 8, num_layers: 2, dropout: 0.2}, label: forward}
      - {lstm: {hidden_size: 8, bidirectional: true}, label: both}
      - Gated
      - Noisy
    train: {epochs: 2, batch_size: 20, optimizer: {adam: {lr: 0.02}}}
    seeds: 1
    measure: [accuracy]
    """


def test_a_causal_task_refuses_models_that_look_ahead(
    site: Path,
    write_suite: Callable[[str], Path],
    seqbench_cli: Callable[..., Any],
    tmp_path: Path,
) -> None:
    modules = {"ahead": PLUGIN, "ahead_layers": LAYERS, "ahead_data": DATA}
    install(site, "ahead", modules, "ahead = ahead")
    done = seqbench_cli("run", write_suite(SUITE), "--json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    trials = {(one["dataset_label"], one["label"]): one for one in document["trials"]}
    why = (
        "the answer at step 1 of 12 changes with the input at step 2, but the task is causal: its "
        "answers may depend only on steps up to their own; use a model, or parameters of it, that "
        "do not look ahead"
    )
    assert {names: one["reason"] for names, one in trials.items() if one["status"] != "ok"} == {
        ("repeated causal=true", "Gated"): f"'Gated' looks ahead once trained: {why}",
        ("repeated causal=true", "both"): f"'lstm' looks ahead with its initial weights: {why}",
    }
    unknown = {names: why for names, one in trials.items() if (why := one["ahead_unknown"])}
    noisy = ("repeated causal=true", "Noisy")
    assert unknown == {noisy: "its answers to the same input vary in evaluation mode"}
    folder = tmp_path / document["run"]
    kept = {path.stem for path in (folder / "weights").iterdir()}
    assert kept == {one["id"] for one in trials.values() if one["status"] == "ok"}
    weights = {
        (folder / f"weights/{one['id']}.safetensors").read_bytes()
        for (_, label), one in trials.items()
        if label == "forward"
    }
    assert len(weights) == 1  # the test changes no bit of the training
    shown = " ".join(seqbench_cli("show", folder).stdout.split())
    assert "looks ahead, which the task does not allow: its answers to the same input vary" in shown
