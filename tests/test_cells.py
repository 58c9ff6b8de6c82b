"""What is timed: single steps, other lengths, other runtimes; answers are checked first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, install, install_encoder
from test_models import choice
from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.measure.check_stepping import bytes_of, check_steps
from seqbench.runtimes.compare import check_equal, relative_error
from seqbench.training.model import SequenceModel, build_model
from seqbench.training.stepping import can_step, run_steps
from seqbench.types import Task

FEATURES = Task("features", 5, "label", 3, 7)
TOKENS = Task("tokens", 11, "label", 3, 7)
PER_STEP = Task("tokens", 11, "label_per_step", 3, 7)


def inputs(task: Task, batch: int = 4) -> Tensor:
    if task.input == "tokens":
        return torch.randint(task.input_size, (batch, task.length))
    return torch.randn(batch, task.length, task.input_size)


@pytest.mark.parametrize("task", [FEATURES, TOKENS, PER_STEP], ids=["features", "tokens", "steps"])
@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_stepping_gives_the_answer_of_the_whole_sequence(
    name: str, layers: int, readout: str, task: Task
) -> None:
    torch.manual_seed(0)
    chosen = choice(name, hidden_size=6, num_layers=layers, readout=readout)
    model = build_model(chosen, task).eval()
    assert can_step(model)
    with torch.inference_mode():
        x = inputs(task)
        check_steps(model, x, per_step=task.target == "label_per_step")
        answers, _ = run_steps(model, x)
        expected = model(x) if task.target != "label_per_step" else model(x)[:, -1]
    torch.testing.assert_close(answers[-1], expected)


def test_the_sample_plugin_steps_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "plugins" / "zoo" / "seqbench-mingru"))
    from seqbench_mingru.layer import MinGRU

    torch.manual_seed(0)
    model = SequenceModel(FEATURES, MinGRU(5, 16), 5, "last").eval()
    with torch.inference_mode():
        check_steps(model, inputs(FEATURES), per_step=False)
        _, state = run_steps(model, inputs(FEATURES, batch=1))
    assert bytes_of(state) == 16 * 4


@pytest.mark.parametrize(
    ("name", "layers", "floats"), [("rnn", 1, 6), ("gru", 2, 12), ("lstm", 1, 12), ("lstm", 2, 24)]
)
def test_the_size_of_the_state(name: str, layers: int, floats: int) -> None:
    model = build_model(choice(name, hidden_size=6, num_layers=layers), FEATURES)
    _, state = run_steps(model, inputs(FEATURES, batch=1))
    assert bytes_of(state) == 4 * floats


def test_a_bidirectional_model_or_one_without_step_cannot_step() -> None:
    assert not can_step(build_model(choice("lstm", bidirectional=True), FEATURES))
    assert not can_step(nn.Linear(2, 2))


class Forgetful(nn.Module):
    """Sees all steps of a whole sequence, but only the current one when stepping."""

    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(dim=1)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return x, None


def test_a_wrong_step_is_reported_with_the_size_of_the_error() -> None:
    model = SequenceModel(FEATURES, Forgetful(), 5, "last")
    with pytest.raises(
        PluginError, match=r"step by step: .* by \d.*; first difference at step 2 of 7"
    ):
        check_steps(model, inputs(FEATURES), per_step=False)


def test_the_error_is_relative_to_the_largest_value() -> None:
    expected = torch.tensor([1.0, -4.0])
    assert relative_error(torch.tensor([1.0, -3.0]), expected) == 0.25
    check_equal(expected + 3e-4, expected, "compile")
    with pytest.raises(PluginError, match=r"compile: .* by 0\.00012 times the largest value"):
        check_equal(expected + 5e-4, expected, "compile")
    with pytest.raises(PluginError, match="by nan"):
        check_equal(expected * float("nan"), expected, "compile")
    with pytest.raises(PluginError, match=r"shape \(1,\), not \(2,\)"):
        check_equal(expected[:1], expected, "compile")


def test_half_precision_has_a_larger_tolerance() -> None:
    expected = torch.tensor([1.0], dtype=torch.bfloat16)
    check_equal(expected * 1.01, expected, "compile")
    with pytest.raises(PluginError):
        check_equal(expected.float() * 1.01, expected.float(), "compile")


WHOLE = """
    import seqbench
    import torch

    @seqbench.hookimpl
    def seqbench_models():
        about = {"build": "whole:Whole", "kind": "model", "tasks": ["tokens/label"]}
        return [seqbench.ModelSpec("fixed", lengths="fixed", **about),
                seqbench.ModelSpec("bounded", lengths="bounded", **about)]

    class Whole(torch.nn.Module):
        def __init__(self, task):
            super().__init__()
            self.embedding = torch.nn.Embedding(task.input_size, 4)
            self.positions = torch.nn.Parameter(torch.ones(task.length, 1))
            self.head = torch.nn.Linear(4, task.output_size)

        def forward(self, x):
            assert x.shape[1] <= len(self.positions)
            return self.head((self.embedding(x) * self.positions[: x.shape[1]]).mean(1))
    """


@pytest.mark.slow
def test_nothing_is_measured_at_lengths_that_a_model_does_not_accept(
    site: Path, write_suite: Callable[..., Path], seqbench_cli: Callable[..., Any]
) -> None:
    """They are skipped with the reason, and the run succeeds."""
    install(site, "whole", {"whole": WHOLE}, "whole = whole")
    text = """
        name: lengths
        datasets: [{parity: {length: 6, train_size: 40, validation_size: 20, test_size: 20}}]
        models: [fixed, bounded]
        train: {epochs: 1, batch_size: 20}
        seeds: 1
        measure:
          memory: {batch_size: 8}
          latency:
            {budget: 100ms, warm_up: 20ms, processes: 2, batch_sizes: [1], seq_lens: [6, 4, 9]}
        """
    done = seqbench_cli("run", write_suite(text), "--json")
    fixed, bounded = json.loads(done.stdout)["cases"]
    assert done.returncode == 0, done.stderr
    for case, accepted in ((fixed, {6}), (bounded, {4, 6})):
        assert case["status"] == "ok"
        assert {entry["length"] for entry in case["latency"]} == accepted
        skipped = {(one["quantity"], one["length"]) for one in case["unmeasured"]}
        expected = {(q, n) for q in ("latency", "memory", "macs") for n in {4, 6, 9} - accepted}
        assert skipped == expected
        assert {one["status"] for one in case["unmeasured"]} == {"skipped"}
    assert {one["reason"] for one in fixed["unmeasured"]} == {
        "fixed accepts sequences of 6 steps only (lengths: fixed)"
    }
    assert {one["reason"] for one in bounded["unmeasured"]} == {
        "bounded accepts sequences of at most 6 steps (lengths: bounded)"
    }


@pytest.mark.slow
def test_a_runtime_that_gives_another_answer_is_a_failed_measurement(
    site: Path, write_suite: Callable[..., Path], seqbench_cli: Callable[..., Any]
) -> None:
    code = """
        import torch

        class Linear(torch.nn.Linear):
            def forward(self, x):
                return super().forward(x) + torch.compiler.is_compiling()
        """
    install_encoder(site, "odd", "Linear", code)
    text = """
        name: runtimes
        datasets: [{parity: {length: 6, train_size: 40, validation_size: 20, test_size: 20}}]
        models: [{rnn: {hidden_size: 4}}, odd]
        train: {epochs: 1, batch_size: 20}
        seeds: 1
        measure:
          latency:
            {budget: 300ms, warm_up: 20ms, processes: 2, batch_sizes: [1],
             runtimes: [eager, compile]}
        """
    # Compilers cannot handle a space in the path of their cache.
    done = seqbench_cli("run", write_suite(text), "--json", "--out", "my results")
    rnn, odd = json.loads(done.stdout)["cases"]
    assert [entry["runtime"] for entry in rnn["latency"]] == ["eager", "compile"]
    assert [entry["runtime"] for entry in odd["latency"]] == ["eager"]
    (failed,) = odd["unmeasured"]
    assert failed["runtime"] == "compile"
    assert "runtime 'compile': the answer differs" in failed["reason"]
    assert done.returncode == 1
