"""Every figure of a trained model belongs to that model: its loaded weights must answer alike."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import install, install_encoder, runner_environment
from small_splits import prepared
from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.plugins.parameters import completed
from seqbench.testing.selftest.rig import TRAIN, Rig
from seqbench.training.answers import VARY, check_answers, record_answers
from seqbench.training.evaluation import evaluate
from seqbench.training.job import TrainPayload
from seqbench.training.loop import train_model
from seqbench.training.prepared import PreparedSplits
from seqbench.training.weights import check_savable, load_weights, save_weights
from seqbench.types import Task

CPU = torch.device("cpu")
CHOICE = Choice("mine", {}, "mine:Mine", "my-models", "1.0", kind="model")
TASK = Task("features", 2, "label", 2, 5)

LAYERS = """
    import random
    import torch
    from torch import nn

    class Layer(nn.Module):
        def __init__(self, input_size):
            super().__init__()
            self.layer = nn.Linear(input_size, 8)
            self.register_buffer("view", torch.ones(4, 8)[2:4])
            self.register_buffer("expanded", torch.ones(1).expand(8))
            self.register_buffer("fixed", torch.arange(8.0), persistent=False)

        def forward(self, x):
            return self.layer(x).cumsum(1) * self.view[0] * self.expanded + self.fixed / 8

    Sound = Layer

    class Echo(Layer):  # an echo-state net whose reservoir is no buffer
        def __init__(self, input_size):
            super().__init__(input_size)
            self.inward = torch.randn(8, 8)

        def forward(self, x):
            return super().forward(x) @ self.inward

    class Masked(Layer):
        def __init__(self, input_size):
            super().__init__(input_size)
            self.register_buffer("mask", torch.randn(8), persistent=False)

        def forward(self, x):
            return super().forward(x) * self.mask

    class Varies(Layer):  # also in evaluation mode
        def forward(self, x):
            return super().forward(x) + random.random()

    class Extra(Layer):
        def get_extra_state(self): return {"n": 1}
        def set_extra_state(self, state): pass
    """
NAMES = ("Sound", "Echo", "Masked", "Varies", "Extra")
SPEC = f"""
    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec(name, build=f"layers:{{name}}") for name in {NAMES}]
    """
SUITE = """
    name: fidelity
    datasets: [{parity: {length: 4, train_size: 200, validation_size: 50, test_size: 60}}]
    models: [Sound, Echo, Masked, Varies, Extra]
    metrics: [{top_k: {k: 1}}]
    train: {epochs: 1, batch_size: 20}
    seeds: 1
    measure:
      memory: {batch_size: 8}
      latency: {batch_sizes: [2], budget: 100ms, processes: 2, warm_up: 1ms}
    """


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("fidelity")
    install(found, "layers", {"layers_spec": SPEC, "layers": LAYERS}, "layers = layers_spec")
    (found / "fidelity.yaml").write_text(textwrap.dedent(SUITE))
    return found


@pytest.fixture(scope="module")
def run(folder: Path) -> Mapping[str, Any]:
    """The document of a run of all models."""
    found: Mapping[str, Any] = json.loads(seqbench_in(folder, "run", "fidelity.yaml", "--json"))
    return found


def seqbench_in(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "seqbench", *arguments], cwd=folder, capture_output=True, text=True,
        env={**runner_environment(folder, folder), "COLUMNS": "400"}, timeout=240,
    ).stdout  # fmt: skip


def case_of(run: Mapping[str, Any], label: str) -> Mapping[str, Any]:
    return next(case for case in run["cases"] if case["label"] == label)


def test_every_use_of_sound_weights_succeeds(run: Mapping[str, Any]) -> None:
    """Views, expanded buffers and non-persistent buffers with fixed content are no obstacle."""
    sound = case_of(run, "Sound")
    assert (sound["status"], sound["reason"]) == ("ok", "")
    assert sound["scores"]["top_k k=1"]["mean"] == sound["accuracy"]["mean"]
    assert sound["latency"]
    assert sound["memory"]
    assert sound["parameters"]


@pytest.mark.parametrize(
    ("label", "missing"),
    [
        ("Echo", "plain attributes (encoder.inward): use register_buffer or nn.Parameter"),
        ("Masked", "non-persistent buffers (encoder.mask): make them persistent"),
    ],
)
def test_every_use_of_weights_that_lack_state_fails_and_says_which(
    run: Mapping[str, Any], label: str, missing: str
) -> None:
    case = case_of(run, label)
    assert case["accuracy"]["mean"] is not None  # of the trained model itself
    assert {one["quantity"] for one in case["unmeasured"]} == {
        "cost", "memory", "latency", "top_k k=1"
    }  # fmt: skip
    for one in case["unmeasured"]:
        assert one["status"] == "failed"
        assert f"{label!r} of layers 1.0, built again and loaded with its trained" in one["reason"]
        assert f"the weights file does not hold {missing}" in one["reason"]
        assert "encoder.fixed" not in one["reason"]
    assert not case["scores"]
    assert not case["latency"]
    assert case["parameters"] is None


def test_a_model_that_is_random_in_evaluation_mode_is_measured_unchecked(
    run: Mapping[str, Any], folder: Path
) -> None:
    case = case_of(run, "Varies")
    assert (case["status"], case["reason"]) == ("ok", "")
    assert case["latency"]
    assert [t["unchecked"] for t in run["trials"] if t["label"] == "Varies"] == [VARY]
    shown = seqbench_in(folder, "show")
    assert "Not checked whether Varies still answers as trained when its weights are " in shown
    assert "measuring cost, memory, latency, top_k k=1: failed: 'Echo' of layers 1.0" in shown


def test_extra_state_that_is_no_tensor_is_refused_before_training(run: Mapping[str, Any]) -> None:
    (trial,) = [trial for trial in run["trials"] if trial["label"] == "Extra"]
    assert trial["status"] == "failed"
    assert trial["reason"] == (
        "'Extra' of layers 1.0: get_extra_state() of 'encoder' returns dict, but weights files "
        "hold tensors only: return a tensor, or use buffers (register_buffer)"
    )
    assert "epoch" not in "".join(trial["lines"])


@pytest.mark.slow
def test_a_run_without_recorded_answers_can_be_resumed(
    run: Mapping[str, Any], folder: Path
) -> None:
    """As made before they were recorded: nothing is compared."""
    path = folder / run["run"]
    (echo,) = (path / "trials").glob("Echo-*.json")
    record = json.loads(echo.read_text())
    del record["answers"]
    echo.write_text(json.dumps(record))
    chosen = ["--resume", "--retry-failed", "--json", "--set", "measure=[accuracy]"]
    again = json.loads(seqbench_in(folder, "run", "fidelity.yaml", *chosen))
    assert case_of(again, "Echo")["parameters"] is not None
    assert case_of(again, "Masked")["parameters"] is None


# ---------------------------------------------------------------------------------- in one process


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.layers(x)
        return answer


def splits(seed: int = 7, n: int = 100) -> PreparedSplits:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, 2, generator=draw)
    y = (x.sum(dim=(1, 2)) > 0).long()
    return prepared(TASK, (x[:50], y[:50]), (x[50:], y[50:]), (x[50:], y[50:]))


def test_other_test_data_are_not_blamed_on_the_model() -> None:
    model = Flat()
    recorded = record_answers(model, splits(), CPU)
    check_answers(model, splits(), CPU, recorded, choice=CHOICE)
    with pytest.raises(PluginError, match="prepared again and now has other test data"):
        check_answers(model, splits(seed=8), CPU, recorded, choice=CHOICE)


def test_noise_from_torchs_generator_does_not_hide_missing_state() -> None:
    class Noisy(Flat):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + torch.randn(2)

    model, other = Noisy(), Noisy()
    recorded = record_answers(model, splits(), CPU)
    assert recorded["reason"] == ""
    check_answers(model, splits(), CPU, recorded, choice=CHOICE)
    with pytest.raises(PluginError, match=r"answers differently, by .* of the largest value"):
        check_answers(other, splits(), CPU, recorded, choice=CHOICE)


def test_state_outside_of_the_weights_that_training_changes_is_noticed() -> None:
    """The best epoch is not the last, and its weights alone do not bring its model back."""

    class Drifts(Flat):
        def __init__(self) -> None:
            super().__init__()
            self.shift = torch.zeros(2)

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.shift = self.shift + torch.tensor([0.0, 1.0])
            return super().forward(x) + self.shift

    settings = {"epochs": 3, "batch_size": 10, "schedule": None, "clip_norm": None,
                "optimizer": {"name": "sgd", "params": {"lr": 1e-3}}}  # fmt: skip
    torch.manual_seed(0)
    with pytest.raises(PluginError, match=r"epoch 1 is the best .* plain attributes \(shift\)"):
        train_model(Drifts(), splits(), settings, device=CPU, seed=0)


class Views(nn.Module):
    """State dicts whose tensors share memory, in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.tied = nn.Linear(3, 5, bias=False)
        self.tied.weight = self.embedding.weight
        self.transposed = nn.Parameter(torch.randn(4, 3).t())
        self.register_buffer("row", torch.randn(10, 10)[2:4])
        self.register_buffer("column", torch.randn(10, 10)[:, 3])
        self.register_buffer("part", self.embedding.weight.data[1:2])
        self.register_buffer("expanded", torch.randn(1).expand(8))
        whole = torch.randn(20)
        self.register_buffer("left", whole[:12])
        self.register_buffer("right", whole[6:])
        self.register_buffer("empty", torch.zeros(0))
        self.register_buffer("number", torch.tensor(3))
        self.register_buffer("none", None)


def test_tensors_that_share_memory_are_saved_and_loaded(tmp_path: Path) -> None:
    model, other = Views(), Views()
    check_savable(model, CHOICE)
    save_weights(model, tmp_path / "weights")
    load_weights(other, tmp_path / "weights")
    expected, found = model.state_dict(), other.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert other.tied.weight is other.embedding.weight


@pytest.mark.parametrize("model", [nn.LSTM(3, 4, 2), nn.BatchNorm1d(3)])
def test_files_of_plain_models_are_those_of_safetensors(model: nn.Module, tmp_path: Path) -> None:
    from safetensors.torch import save_model

    save_weights(model, tmp_path / "ours")
    save_model(model, str(tmp_path / "theirs"))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize(
    ("buffer", "words"),
    [
        (torch.eye(3).to_sparse(), "'x' is a tensor of layout torch.sparse_coo, but weights"),
        (torch.zeros(3, dtype=torch.complex128), "'x' is a tensor of torch.complex128, which"),
    ],
)
def test_state_that_no_weights_file_holds_is_refused(buffer: Tensor, words: str) -> None:
    model = Flat()
    model.register_buffer("x", buffer)
    with pytest.raises(PluginError, match=words.replace("(", r"\(")) as caught:
        check_savable(model, CHOICE)
    assert str(caught.value).startswith("'mine' of my-models 1.0: ")
    assert "\n" not in str(caught.value)


DRAWN = """
    import random, numpy, torch

    class Drawn(torch.nn.Linear):
        def __init__(self, input_size, out_features):
            super().__init__(input_size, out_features)
            torch.set_float32_matmul_precision("medium")
            drawn = numpy.random.rand(*self.weight.shape) + random.random()
            self.weight.data = torch.tensor(drawn, dtype=torch.float32)

        def forward(self, x):
            probed = len(x) == 1  # by seqbench, before it restores the setting
            assert probed or torch.get_float32_matmul_precision() == "highest"
            return super().forward(x)
    """


def test_every_generator_is_seeded_and_precision_is_kept(site: Path, tmp_path: Path) -> None:
    """Plugins may draw weights from numpy's or Python's generator, and change torch's settings."""
    install_encoder(site, "drawn", "Drawn", DRAWN)
    offer = load_plugins().model("drawn")
    rig = Rig(tmp_path)
    model = Choice.of(offer, completed({}, offer.spec.parameters))
    payloads = [
        TrainPayload(
            model=model, data=rig.data, train={**TRAIN, "epochs": 1}, device="cpu", seed=seed,
            weights=f"{number}.safetensors",
        )
        for number, seed in enumerate((0, 0, 1))
    ]  # fmt: skip
    first, second, other = rig.run_jobs("seqbench.training.job:train", *payloads)
    assert first["weights_sha256"] == second["weights_sha256"] != other["weights_sha256"]


def test_a_model_that_changes_its_input_is_refused() -> None:
    """It would change the test split for whatever is computed next."""

    class Scaling(Flat):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.mul_(1.5))

    with pytest.raises(PluginError, match="changes its input in place"):
        evaluate(Scaling(), splits().test, device=CPU)


def test_randomness_in_evaluation_mode_is_recorded() -> None:
    class Noisy(Flat):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(nn.functional.dropout(x, 0.5, training=True))

    assert record_answers(Noisy(), splits(), CPU)["random"] is True
    assert record_answers(Flat(), splits(), CPU)["random"] is False


def test_seeds_that_start_from_the_same_weights_are_reported(
    site: Path, write_suite: Callable[[str], Path], seqbench_cli: Callable[..., Any]
) -> None:
    code = """
        import torch

        class Fixed(torch.nn.Linear):
            def __init__(self, input_size, out_features):
                torch.manual_seed(0)
                super().__init__(input_size, out_features)
        """
    install_encoder(site, "fixed", "Fixed", code)
    write_suite(
        """
        datasets: [{parity: {length: 4, train_size: 40, validation_size: 20, test_size: 20}}]
        models: [fixed, {rnn: {hidden_size: 4}}]
        train: {epochs: 1, batch_size: 20}
        seeds: 2
        measure: [accuracy]
        """
    )
    shown = " ".join(seqbench_cli("run", "tiny.yaml").stdout.split())
    assert "Seeds started from the same weights: fixed." in shown
