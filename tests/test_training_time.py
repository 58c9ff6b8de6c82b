"""The time of a training step: what is timed, and what becomes of the figures."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import install
from test_suite import TINY, parse
from torch import Tensor, nn

from seqbench.cli.estimate import training_time_words
from seqbench.measure.latency.cells import Cell
from seqbench.measure.latency.protocol import MAX_TRAINING_CYCLE
from seqbench.measure.latency.training_cell import training_cell
from seqbench.measure.payloads import TimingSettings
from seqbench.plugins.choice import Choice
from seqbench.records import AS_DATA
from seqbench.report.page.methods import methods
from seqbench.report.views.pairs import pairs_view
from seqbench.suite.keys import TrainingTime
from seqbench.summary.calls import read_calls
from seqbench.training.fresh import FreshSplit
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Split
from seqbench.types import Task

TASK = Task("features", 1, "label", 2, 60)

TRAIN = {
    "epochs": 1, "batch_size": 4, "optimizer": {"name": "sgd", "params": {"lr": 0.1}},
    "schedule": None, "clip_norm": None, "threads": 1,
}  # fmt: skip


# ---------------------------------------------------------------------------------- what is timed


class Seen(nn.Module):
    """Remembers the shape of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)
        self.shapes: list[tuple[int, int]] = []
        self.scale = 1.0

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        self.shapes.append((x.shape[0], x.shape[1]))
        answer: Tensor = self.head(x.sum(1)) * self.scale
        return answer


def split_of(*lengths: int) -> Split:
    x, y = torch.randn(sum(lengths), 1), torch.zeros(len(lengths), dtype=torch.int64)
    if len(set(lengths)) == 1:
        return Split(TASK, x.view(len(lengths), -1, 1), y)
    return Split(TASK, x, y, offsets=torch.tensor([0, *itertools.accumulate(lengths)]))


class Trained:
    """What a cell needs of a subject."""

    def __init__(self, *lengths: int):
        split = split_of(*lengths)
        self.splits, self.device = PreparedSplits(TASK, split, split), torch.device("cpu")
        self.model, self.loaded = Seen(), 0

    def load(self) -> None:
        self.loaded += 1
        nn.init.ones_(self.model.head.weight)


def cell_of(subject: Trained, **train: Any) -> Cell:
    return training_cell(subject, {**TRAIN, **train})  # type: ignore[arg-type]


def shapes_of(cell: Cell, subject: Trained, rounds: int = 1) -> list[list[tuple[int, int]]]:
    """The batches of each call."""
    calls, _ = cell.prepare()
    found = []
    for _ in range(rounds):
        for call in calls:
            subject.model.shapes.clear()
            call()
            found.append(list(subject.model.shapes))
    return found


def test_steps_of_one_length_are_those_of_an_epoch_without_the_incomplete_batch() -> None:
    subject = Trained(*[7] * 10)
    cell = cell_of(subject)
    assert cell.settings == {
        "quantity": "training_step", "batch_size": 4, "length": 7, "threads": 1, "runtime": "eager",
    }  # fmt: skip
    assert cell.prepare()[1] == {"sequences": 4}
    assert shapes_of(cell, subject, rounds=3) == [[(4, 7)]] * 3


@pytest.mark.parametrize(("together", "batches"), [(2, 2), (9, 5)])
def test_an_accumulating_step_has_as_many_batches_as_in_training(
    together: int, batches: int
) -> None:
    """The last step of an epoch, or the only one, has those that are left."""
    subject = Trained(*[7] * 20)
    cell = cell_of(subject, accumulate=together)
    assert cell.settings["batch_size"] == 4 * batches
    assert shapes_of(cell, subject) == [[(4, 7)] * batches]


def test_of_unequal_lengths_few_steps_stand_for_an_epoch_the_same_for_every_model() -> None:
    lengths = [1 + 7 * n % 60 for n in range(60)] * 4
    one, other = Trained(*lengths), Trained(*lengths)
    cell = cell_of(one)
    assert (cell.settings["length"], cell.settings["batch_size"]) == (AS_DATA, 4)
    shapes = shapes_of(cell, one)
    assert shapes == shapes_of(cell_of(other), other)
    assert len(shapes) == MAX_TRAINING_CYCLE
    mixture = cell.prepare()[1]["mixture"]
    assert mixture["calls"] == MAX_TRAINING_CYCLE
    assert mixture["mean_length"] == pytest.approx(sum(lengths) / len(lengths), rel=0.05)


def test_with_batches_of_one_length_incomplete_ones_count() -> None:
    subject = Trained(*[10] * 8, *[50] * 2, 60)
    cell = cell_of(subject, batches="one_length")
    assert sorted(shapes_of(cell, subject)) == [[(1, 60)], [(2, 50)], [(4, 10)], [(4, 10)]]
    assert cell.prepare()[1]["sequences"] == 11 / 4
    assert cell.settings["batch_size"] == 3


def draw(seed: int, count: int) -> Any:
    """Fresh sequences, of which some have one step and the others two."""
    del seed
    x = [torch.zeros(1 + row % 2, 1) for row in range(count)]
    return x, torch.zeros(count, dtype=torch.int64)


def test_fresh_sequences_are_drawn_in_each_step() -> None:
    subject = Trained(7, 7)
    choice = Choice("d", {}, "test_training_time:load", "d", "1")
    fresh = FreshSplit(TASK, choice, "test_training_time:draw", {}, 100, 0)
    subject.splits = PreparedSplits(TASK, fresh, subject.splits.test)
    cell = cell_of(subject)
    assert shapes_of(cell, subject) == [[(4, 2)]] * MAX_TRAINING_CYCLE
    assert cell.prepare()[1]["mixture"]["padding"] == 0.25


def test_after_a_loss_that_is_not_finite_training_starts_again() -> None:
    subject = Trained(*[7] * 8)
    cell = cell_of(subject)
    (call,), _ = cell.prepare()
    cell.before()
    call()
    cell.before()
    assert subject.loaded == 1
    subject.model.scale = float("nan")
    call()
    assert subject.model.head.weight.isnan().any()
    cell.before()
    assert subject.loaded == 2
    assert not subject.model.head.weight.isnan().any()


def test_a_schedule_does_not_end_while_steps_are_timed() -> None:
    subject = Trained(*[7] * 8)
    chosen = {"name": "one_cycle", "params": {"max_lr": 0.1}}
    (call,), _ = cell_of(subject, steps=3, schedule=chosen).prepare()
    for _ in range(10):
        call()


def test_settings_that_older_runs_cannot_have_tell_their_figures_apart() -> None:
    """A training step did not include forming its batch."""
    plain = TimingSettings(1, (), (), (1,), (), 2, 1, 0.02, training_step=False)
    training = TimingSettings(1, (), (), (1,), (), 2, 1, 0.02, training_step=True)
    assert training.identity().keys() - plain.identity().keys() == {"forms_batches"}
    assert (plain.window_fraction, training.window_fraction) == (0.2, 0)


# ------------------------------------------------------------------------------------- real runs

#: Spins for so long per true step of a sequence.
STEP_S = 20e-6

LENGTHS = [40, 10, 25, 5, 60, 40, 10, 25, 5, 60]

PACKAGE = f"""
    import time
    import seqbench
    import torch

    @seqbench.hookimpl
    def seqbench_datasets():
        return [seqbench.DatasetSpec("ragged", load="ragged:load")]

    @seqbench.hookimpl
    def seqbench_models():
        about = {{"build": "ragged:Spin", "kind": "model",
                 "parameters": {{"times": 1, "number": 0, "once": False}}}}
        return [seqbench.ModelSpec("spin", **about)]

    def load(context):
        generator = torch.Generator().manual_seed(0)
        x = [torch.randn(t, 1, generator=generator) for t in {LENGTHS}]
        task = seqbench.Task("features", 1, "label", 2, 60)
        part = (x, torch.arange({len(LENGTHS)}) % 2)
        return seqbench.Splits(task, train=part, validation=part, test=part)

    class Spin(torch.nn.Module):
        \"\"\"With once=True it trains only until weights are loaded.\"\"\"

        def __init__(self, task, *, times, number, once):
            super().__init__()
            self.head = torch.nn.Linear(task.input_size, task.output_size)
            self.times, self.once = times, once
            self.register_load_state_dict_post_hook(self.was_loaded)
            self.loaded = False

        @staticmethod
        def was_loaded(model, keys):
            model.loaded = True

        def forward(self, x, lengths=None):
            if self.once and self.loaded and self.training:
                raise ValueError("trained enough")
            steps = x.shape[0] * x.shape[1] if lengths is None else int(lengths.sum())
            end = time.perf_counter() + self.times * {STEP_S} * steps
            answer = self.head(x.sum(1))
            while time.perf_counter() < end:
                pass
            return answer
    """

SUITE = """
    name: steps
    datasets: [ragged]
    models:
      - {spin: {number: 1}, label: one, reference: {training_step_s: 2e-3}}
      - {spin: {times: 2}, label: twice}
      - {spin: {number: 2}, label: small, train: {batch_size: 1}}
      - {spin: {once: true}, label: once}
    train: {epochs: 1, batch_size: 2}
    target: accuracy >= 0.01
    margin: {training_step: 40%}
    seeds: 1
    measure: {training: {budget: 200ms, warm_up: 20ms, processes: 2}}
    """

#: Mean number of steps of a batch of two sequences.
BATCH = 2 * sum(LENGTHS) / len(LENGTHS)


@pytest.fixture
def ragged(site: Path) -> None:
    install(site, "ragged", {"ragged": PACKAGE}, "ragged = ragged")


def test_a_run_with_the_time_of_training_steps(
    ragged: None, write_suite: Callable[..., Path], seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    done = seqbench_cli("run", write_suite(SUITE), "--json")
    assert done.returncode == 1, done.stderr  # a measurement failed
    document = json.loads(done.stdout)
    cases = {case["label"]: case for case in document["cases"]}
    _check_figures(cases, tmp_path / document["run"])
    _check_pairs(document, {case["id"]: case["label"] for case in document["cases"]})
    assert "Training steps of 1 and 2 sequences, with forming their batches" in methods(document)
    _check_tables(seqbench_cli)
    _check_resume(seqbench_cli)


def _check_figures(cases: Any, run: Path) -> None:
    one = cases["one"]["training_step"]
    assert (one["batch_size"], one["length"], one["threads"]) == (2, AS_DATA, 1)
    assert one["mixture"]["calls"] == 5
    assert one["mixture"]["mean_length"] == BATCH / 2
    assert one["median_s"] >= STEP_S * BATCH
    for case in (cases["one"], cases["twice"], cases["small"]):
        step, rate = case["training_step"], case["training_throughput"]
        assert rate["per_s"] == pytest.approx(step["batch_size"] / step["median_s"])
        assert rate["low_per_s"] <= rate["per_s"] <= rate["high_per_s"]
        assert case["target"]["step_s"] == step["median_s"]  # measured once, for both
    assert cases["small"]["training_step"]["batch_size"] == 1
    (calls,) = read_calls(run / "samples" / f"{cases['one']['id']}-training.json.gz")
    # Every call takes the time of its own batch, and in the fastest one hardly more.
    blocks = [block for process in calls.processes for block in process]
    fastest = [min(call for block in blocks for call in block[n::5]) for n in range(5)]
    assert sum(fastest) - 5 * STEP_S * BATCH < 5 * 1e-3
    once = cases["once"]
    assert (once["training_step"], once["training_throughput"]) == (None, None)
    (failed,) = once["unmeasured"]
    assert failed["quantity"] == "training_step"
    assert "trained enough" in failed["reason"]
    assert once["target"]["seconds"] is None
    assert once["target"]["seconds_reason"]


def _check_pairs(document: Any, labels: Any) -> None:
    """Only steps of as many sequences are compared."""
    found = {
        (labels[each["a"]], labels[each["b"]]): each
        for each in document["comparisons"]
        if each["quantity"] == "training_step"
    }
    assert found.keys() == {("one", "twice")}
    assert found["one", "twice"]["low"] < 0.8
    assert found["one", "twice"]["high"] > 0.45
    assert found["one", "twice"]["verdict"] in ("better", "no difference")
    assert found["one", "twice"]["margin"] == 1.4
    (title,) = {s.title for s in pairs_view(document).sheets if "training" in s.title}
    assert title.startswith("training step on ragged, cpu: batch_size=2, length=as_data")


def _check_tables(seqbench_cli: Callable[..., Any]) -> None:
    """Columns in the terminal, where the batch size varies without it, and in exports."""
    shown = seqbench_cli("show", "--explain", COLUMNS="160").stdout
    assert "train step" in shown
    assert "train rate" in shown
    assert "measuring training_step (batch 2, as data): failed: ValueError: trained enough" in shown
    assert "train step: forming the batch, forward and backward pass" in shown
    rows = list(csv.DictReader(io.StringIO(seqbench_cli("show", "--format", "csv").stdout)))
    of = {row["label"]: row for row in rows}
    assert float(of["one"]["training_step_s"]) >= STEP_S * BATCH
    assert float(of["one"]["reference_training_step_s"]) == 2e-3
    assert float(of["one"]["training_throughput_per_s"]) > 0
    assert of["once"]["training_step_s"] == ""
    for command in (
        ("show", "--all"),
        ("export", "--format", "csv"),
        ("export", "--format", "pytest-benchmark"),
    ):
        done = seqbench_cli(*command)
        assert done.returncode == 0, (command, done.stderr)
    figures = json.loads(seqbench_cli("export", "--format", "bmf").stdout)
    found = figures["ragged/one/cpu batch_size=2 length=as_data threads=1 runtime=eager"]
    assert found["training-step"]["value"] >= 1e9 * STEP_S * BATCH
    assert found["training-throughput"]["value"] > 0


def _check_resume(seqbench_cli: Callable[..., Any]) -> None:
    """What succeeded stays; what failed is timed again, with all others."""
    again = seqbench_cli("run", "--resume", "--dry-run").stdout
    assert "latency: nothing would be timed" in again
    again = seqbench_cli("run", "--resume", "--retry-failed", "--dry-run").stdout
    assert "timing training steps of 4 cases on cpu, interleaved (again: once on " in again


# --------------------------------------------------------------------------------------- in suites


def test_the_default_and_what_a_suite_can_set() -> None:
    every = parse(f"{TINY}measure: [latency, training]").measure
    assert every.training == TrainingTime(budget=5, processes=10, warm_up=0.5, precision=0.02)
    some = parse(f"{TINY}measure: {{training: {{budget: 2s, precision: 5%}}}}").measure
    assert (some.latency, some.memory) == (None, None)
    assert training_time_words(some.training or TrainingTime()) == (
        "2 s per case; batches as in training; 10 processes, 0.5 s of warm-up each; until ±5 %"
    )


def test_a_suite_without_it_is_recorded_as_before() -> None:
    assert parse(TINY).measure.model_dump().keys() == {"accuracy", "latency", "memory"}
    requested = parse(f"{TINY}measure: [training]").measure.model_dump(mode="json")
    assert requested["training"]["budget"] == 5
