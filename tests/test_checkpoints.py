"""A training that was killed continues from its checkpoint, and ends with the same bits."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqbench import Run
from seqbench.executors.base import Job
from seqbench.plugins.choice import Choice
from seqbench.runner.context import continuing
from seqbench.store.run_folder import RunFolder, checkpoint_file
from seqbench.suite.optimizers import OPTIMIZERS, SCHEDULES, Method, resolved
from seqbench.training.checkpoints import Checkpoints, random_state, restore_random_state
from seqbench.training.data_checks import checked_splits
from seqbench.training.loop import Trained, train_model
from seqbench.training.prepared import PreparedSplits
from seqbench.types import Fresh, Splits, Task
from seqbench.workers.messages import is_valid_message

CPU = torch.device("cpu")
TASK = Task("features", 3, "label", 2, 5)
DATA = Choice("toy", {}, f"{__name__}:load", "toy", "1")


class Killed(BaseException):
    """Stands for a signal at this moment."""


class Noisy(nn.Module):
    """Draws from torch's generator in training, and has buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.GRU(3, 6, batch_first=True)
        self.norm, self.dropout = nn.BatchNorm1d(6), nn.Dropout(0.3)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        answer: Tensor = self.head(self.dropout(self.norm(self.network(x)[0][:, -1])))
        return answer


def draw(seed: int, count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 5, 3, generator=generator), torch.arange(count) % 2


def data(kind: str) -> PreparedSplits:
    pair = draw(1, 22)
    train: Any = pair
    if kind == "unequal":
        train = ([x[: 1 + n % 5] for n, x in enumerate(pair[0])], pair[1])
    if kind == "fresh":
        train = Fresh(f"{__name__}:draw", size=22)
    return checked_splits(Splits(TASK, train, pair, pair), DATA)


def chosen(**given: Any) -> dict[str, Any]:
    return {
        "epochs": 4, "batch_size": 4, "clip_norm": 1.0, "schedule": None,
        "optimizer": resolved(Method("adam", {"lr": 0.01}), OPTIMIZERS), **given,
    }  # fmt: skip


SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("plain", {}),
    "unequal": ("unequal", {"accumulate": 2}),
    "one_length": ("unequal", {"batches": "one_length", "batch_size": 5}),
    "fresh": ("fresh", {"steps": 21, "evaluate_every": 4}),
    "warm-up": ("plain", {"schedule": resolved(Method("cosine", {"warmup": 5}), SCHEDULES)}),
    "plateau": ("plain", {"schedule": resolved(Method("plateau", {"patience": 0}), SCHEDULES)}),
    "multi_step": (
        "plain",
        {"schedule": resolved(Method("multi_step", {"milestones": [1, 3]}), SCHEDULES)},
    ),
    "momentum": ("plain", {"optimizer": resolved(Method("sgd", {"momentum": 0.9}), OPTIMIZERS)}),
    "stopping": ("plain", {"epochs": 30, "early_stopping": {"patience": 2}}),
}


class Everywhere(Checkpoints):
    """Saves at every opportunity, and is killed after some of them."""

    left = 10**9

    def due(self) -> bool:
        return True

    def save(self, state: dict[str, Any]) -> None:
        super().save(state)
        self.left -= 1
        if not self.left:
            raise Killed


def train(
    name: str,
    checkpoints: Checkpoints | None = None,
    notify: Callable[[Any], None] = lambda message: None,
) -> tuple[nn.Module, Trained]:
    kind, settings = SETTINGS[name]
    torch.manual_seed(0)
    model = Noisy()
    return model, train_model(
        model, data(kind), chosen(**settings), device=CPU, seed=3, checkpoints=checkpoints,
        notify=notify,
    )  # fmt: skip


def comparable(trained: Trained) -> Any:
    curve = [{k: v for k, v in entry.items() if k != "seconds"} for entry in trained.curve]
    return trained.metrics, curve


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqbench.training.loop.CHECK_EVERY_STEPS", 1)


@pytest.mark.parametrize("name", SETTINGS)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kills=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_a_killed_training_ends_with_the_same_bits(
    name: str, kills: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected, undisturbed = train(name)
    path = tmp_path_factory.mktemp("checkpoints") / "trial.pt"
    killed = 0
    for after in kills:
        checkpoints = Everywhere(path, 0.0, "me")
        checkpoints.left = after
        try:
            found, trained = train(name, checkpoints)
            break
        except Killed:
            killed += 1
    else:
        found, trained = train(name, Checkpoints(path, 1e9, "me"))
    assert comparable(trained) == comparable(undisturbed)
    pairs = zip(found.state_dict().values(), expected.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "trial.pt"
    one = Checkpoints(path, 0.0, "one")
    assert one.load(CPU) is None
    one.save({"steps": 3})
    assert one.load(CPU) == {"steps": 3}
    assert Checkpoints(path, 0.0, "other").load(CPU) is None
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"x" * 100):
        path.write_bytes(damaged)
        assert one.load(CPU) is None


def test_every_generator_is_restored() -> None:
    import numpy

    state = random_state(CPU)
    first = (torch.rand(3).tolist(), numpy.random.rand(3).tolist(), random.random())
    restore_random_state(state, CPU)
    assert (torch.rand(3).tolist(), numpy.random.rand(3).tolist(), random.random()) == first


def test_no_pickled_object_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "trial.pt"

    class Evil:
        def __reduce__(self) -> Any:
            return os.system, ("touch pwned",)

    torch.save({"identity": "me", "state": Evil()}, path)
    assert Checkpoints(path, 0.0, "me").load(CPU) is None
    assert not Path("pwned").exists()


def test_a_training_that_continues_reports_its_step(tmp_path: Path) -> None:
    path = tmp_path / "trial.pt"
    name, told = next(iter(SETTINGS)), list[dict[str, Any]]()
    killed = Everywhere(path, 0.0, "me")
    killed.left = 5
    with pytest.raises(Killed):
        train(name, killed)
    train(name, Checkpoints(path, 1e9, "me"), told.append)
    (message,) = (one for one in told if "continued" in one)
    assert is_valid_message(message)
    trial = Job("id", "lstm on parity, seed 0", "", None)
    assert continuing(trial, {"continued": 1200}) == (
        "continuing lstm on parity, seed 0 from step 1,200"
    )
    assert 0 < message["continued"] <= 5


def test_a_killed_run_took_until_its_last_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "killed", "", {})
    with folder.locked():
        folder.begin(0.0)
        folder.log("train: 1 to do")
    checkpoint = folder.path / checkpoint_file("trial")
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.touch()
    assert folder.seconds() < 20
    later = time.time() + 30
    os.utime(checkpoint, (later, later))
    assert folder.seconds() == pytest.approx(30, abs=5)


SUITE = """
name: killed
datasets: [parity: {length: 40, train_size: 4000, validation_size: 200, test_size: 200}]
models: [gru: {hidden_size: 16, num_layers: 2, dropout: 0.2}]
train: {epochs: 10, batch_size: 20, checkpoint: 50ms, optimizer: {adam: {lr: 1e-2}}}
seeds: [0]
measure: [accuracy]
limits: {retries: 0}
"""


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "seqbench", "run", *more]
    return subprocess.Popen(
        command, cwd=folder, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.slow
def test_twenty_kills_lose_no_bit(tmp_path: Path, seqbench_cli: Callable[..., Any]) -> None:
    """The whole session is killed at random moments of a trial, and resumed each time. Each kill
    comes after a checkpoint that the resumed trial has saved itself.
    """
    (tmp_path / "killed.yaml").write_text(SUITE)
    done = start(tmp_path, "killed.yaml", "--out", "whole").communicate()[0]
    whole = Run.open(next((tmp_path / "whole" / "killed").iterdir()))
    draw, kills = random.Random(0), 0
    process = start(tmp_path, "killed.yaml", "--out", "parts")
    before: set[int] = set()
    while kills < 20 and process.poll() is None:
        files = (tmp_path / "parts").glob("killed/*/checkpoints/*.pt")
        saved = {file.stat().st_mtime_ns for file in files}
        if not saved - before:
            time.sleep(0.01)
            continue
        before |= saved
        time.sleep(draw.uniform(0.0, 0.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        process = start(tmp_path, "--resume", "--out", "parts")
    out = process.communicate()[0]
    assert process.returncode == 0, out
    parts = Run.open(next((tmp_path / "parts" / "killed").iterdir()))
    one, other = (run.document["trials"][0] for run in (whole, parts))
    assert one["metrics"] == other["metrics"], done
    assert kills == 20
    weights = [next(run.path.glob("weights/*")).read_bytes() for run in (whole, parts)]
    assert weights[0] == weights[1]
    assert not (parts.path / "checkpoints").exists()


def test_a_model_with_state_of_its_own_has_no_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Counting(Noisy):
        calls = 0

        def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
            self.calls += 1
            return super().forward(x)

    path = tmp_path / "trial.pt"
    train_model(
        Counting(), data("plain"), chosen(), device=CPU, seed=3,
        checkpoints=Checkpoints(path, 0.0, "me"),
    )  # fmt: skip
    assert not path.exists()
    said = capsys.readouterr().err
    assert said.count("no checkpoint") == 1
    assert "the model changes calls in training, which is not in its state dict" in said


def test_a_checkpoint_that_cannot_be_written_is_said_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = Checkpoints(tmp_path / "gone" / "deeper" / "trial.pt", 0.0, "me")
    gone.save({"steps": 3})
    assert "no checkpoint: cannot write" in capsys.readouterr().err
