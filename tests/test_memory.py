"""Memory of models with known requirements, measured by the real jobs."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_model
from torch import Tensor, nn

from seqbench.devices import cpu
from seqbench.devices.base import PASSES, Pass
from seqbench.devices.cpu import CLEAR_REFS, SO_FAR, Cpu, peak_so_far
from seqbench.devices.registry import device_for
from seqbench.errors import DeviceError
from seqbench.measure.memory import measure_memory, memory_figures
from seqbench.measure.payloads import MemoryPayload, TrainedModel
from seqbench.plugins.choice import Choice
from seqbench.records import CaseRecord, Measurement
from seqbench.report.terminal.sheets import print_view
from seqbench.report.views.memory import memory_view
from seqbench.summary import lengths
from seqbench.summary.document import build_document
from seqbench.training.data import prepare_dataset
from seqbench.training.model import build_model
from seqbench.types import DataContext, Splits, Task
from seqbench.workers.context import JobContext, Workspace

MIB = 2**20
CPU = torch.device("cpu")
TASK = Task("features", 2, "value", 1, 6)
TRAIN = {
    "optimizer": {"name": "sgd", "params": {"lr": 0.1, "momentum": 0.9}},
    "schedule": None,
    "clip_norm": None,
    "epochs": 1,
}
linux = pytest.mark.skipif(not CLEAR_REFS.exists(), reason="needs Linux")


def zeros(context: DataContext) -> Splits:
    pair = torch.zeros(4, TASK.length, TASK.input_size), torch.zeros(4, 1)
    return Splits(TASK, pair, pair)


class _Held(torch.autograd.Function):
    """Holds a block from the forward pass to the end of the backward pass."""

    @staticmethod
    def forward(context: Any, x: Tensor, floats: int) -> Tensor:
        context.save_for_backward(torch.ones(floats))
        return x.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (block,) = context.saved_tensors
        return gradient * block[0], None


class Known(nn.Module):
    """Parameters of ``weight`` MiB, and a block of ``block`` MiB at the peak.

    Gradients are created while the block is still held: ``weight.sum()`` comes last in the forward
    pass, so first in the backward pass.
    """

    def __init__(self, task: Task, block: int, weight: int = 0):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.weight = nn.Parameter(torch.zeros(max(1, weight * MIB // 4)))
        self.floats = block * MIB // 4

    def forward(self, x: Tensor) -> Tensor:
        held: Tensor
        if torch.is_grad_enabled():
            held = _Held.apply(self.scale, self.floats)
        else:
            held = self.scale * torch.ones(self.floats)[0]  # freed at once
        return x.mean(dim=(1, 2)).unsqueeze(1) * held + self.weight.sum()


class Pairs(nn.Module):
    """Computes all pairs of steps, 1 MiB each."""

    def __init__(self, task: Task):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] == 5:
            raise IndexError("five steps are not supported")
        pairs = torch.ones(x.shape[1] ** 2 * MIB // 4)
        return self.scale * pairs[0] * x.mean(dim=(1, 2)).unsqueeze(1)


Given = tuple[MemoryPayload, Workspace]


def given(folder: Path, name: str, mode: Any, **params: Any) -> Given:
    """The payload and workspace that a worker receives."""
    model = Choice(name, params, f"{__name__}:{name}", "tests", "0", kind="model")
    dataset = Choice("zeros", {}, f"{__name__}:zeros", "tests", "0")
    path = prepare_dataset(dataset, cache=folder, data_dir=None, say=lambda text: None)
    save_model(build_model(model, TASK), str(folder / "weights.safetensors"))
    data = str(path.relative_to(folder))
    subject = TrainedModel(model, data, "cpu", "weights.safetensors", TRAIN)
    return MemoryPayload(subject, mode, batch_size=2), Workspace(folder, folder)


def measured(payload: MemoryPayload, workspace: Workspace) -> list[Measurement]:
    found = measure_memory(payload, JobContext(workspace, channel=None))  # type: ignore[arg-type]
    return [Measurement(**one) for one in found["measurements"]]


@linux
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("size", [64, pytest.param(512, marks=pytest.mark.slow)])
def test_memory_freed_before_the_end_of_a_pass_is_measured(
    tmp_path: Path, size: int, mode: str
) -> None:
    (found,) = measured(*given(tmp_path, "Known", mode, block=size))
    assert found.status == "ok"
    assert found.settings == {"mode": mode, "batch_size": 2, "length": TASK.length}
    values = found.values
    assert len(values["peaks"]) == PASSES
    assert values["working"] == pytest.approx(size * MIB, rel=0.02)
    assert values["peak"] - values["baseline"] == values["working"]
    assert values["low"] <= values["total"] <= values["high"]


@linux
def test_the_breakdown_is_the_one_worked_out_by_hand(tmp_path: Path) -> None:
    """16 MiB each for parameters, gradients and momentum, and 64 MiB held."""
    (found,) = measured(*given(tmp_path, "Known", "training", block=64, weight=16))
    values = found.values
    for name in ("parameters", "gradients", "optimizer"):
        assert values[name] == 16 * MIB + 4  # the scale
    assert values["buffers"] == 0
    assert values["activations"] == pytest.approx(64 * MIB, rel=0.02)
    assert values["working"] == pytest.approx((16 + 64) * MIB, rel=0.02)
    assert values["missing"] == {}
    parts = ("parameters", "buffers", "gradients", "optimizer", "activations")
    assert sum(values[part] for part in parts) == values["total"]


@linux
def test_a_schedule_has_enough_steps_for_every_pass(tmp_path: Path) -> None:
    payload, workspace = given(tmp_path, "Known", "training", block=1)
    train = {**TRAIN, "steps": 1, "schedule": {"name": "one_cycle", "params": {"max_lr": 0.1}}}
    del train["epochs"]
    payload = replace(payload, subject=replace(payload.subject, train=train))
    assert measured(payload, workspace)[0].status == "ok"


@pytest.mark.slow
@linux
def test_memory_is_measured_at_every_length_and_quadratic_growth_shows(tmp_path: Path) -> None:
    payload, workspace = given(tmp_path, "Pairs", "inference")
    found = measured(replace(payload, lengths=(12, 6, 3, 5)), workspace)
    assert [m.settings["length"] for m in found] == [6, 12, 3, 5]
    failed = found.pop()
    assert failed.status == "failed"
    assert failed.reason.startswith("IndexError: five steps are not supported")
    for measurement in found:
        steps = measurement.settings["length"]
        # Some of it may reuse memory freed by an earlier pass.
        assert measurement.values["working"] == pytest.approx(steps**2 * MIB, abs=0.4 * MIB)
    assert [entry["length"] for entry in lengths.at_each(found)] == [3, 6, 12]
    assert lengths.exponents(found)["memory_inference"] == pytest.approx(2, abs=0.04)
    assert lengths.at_own(found) == found[:1]


def test_figures_of_passes_that_differ() -> None:
    """Worked out by hand: working 10, 30, 20, so the median is the last pass."""
    passes = [Pass(100, 110), Pass(100, 130), Pass(105, 125)]
    held = {"parameters": 7, "buffers": 1, "gradients": 7, "optimizer": 14}
    found = memory_figures(held, passes)
    assert (found["working"], found["baseline"], found["peak"]) == (20, 105, 125)
    assert found["activations"] == 20 - 7
    assert (found["low"], found["total"], found["high"]) == (22 + 10, 22 + 20, 22 + 30)
    assert "reserved" not in found


def test_activations_below_the_resolution_are_unavailable_rather_than_zero() -> None:
    found = memory_figures({"parameters": 7, "buffers": 0, "gradients": 7}, [Pass(100, 104)])
    assert found["activations"] is None
    assert "too small" in found["missing"]["activations"]


@linux
def test_memory_freed_earlier_does_not_hide_a_peak() -> None:
    torch.ones(128 * MIB // 4)
    kept: list[Tensor] = []

    def workload() -> None:
        kept.extend(torch.ones(MIB // 4) for _ in range(32))

    for each in Cpu().memory_passes(workload, CPU).passes:
        assert each.working == pytest.approx(32 * MIB, rel=0.05)


def test_without_the_kernels_peak_the_first_pass_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workload needs far more than the peak so far, so that the process's own peak grows."""
    monkeypatch.setattr(cpu, "CLEAR_REFS", Path("/no/such/file"))
    size = peak_so_far() + 100 * MIB

    def workload() -> None:
        torch.ones(size // 4)

    peak = Cpu().memory_passes(workload, CPU)
    (found,) = peak.passes
    assert peak.method == SO_FAR
    assert peak.lower_bound
    assert found.working > 50 * MIB
    with pytest.raises(DeviceError, match="hidden by an earlier, higher peak"):
        Cpu().memory_passes(lambda: None, CPU)


def test_unavailable_memory_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise DeviceError("no counter here")

    monkeypatch.setattr(Cpu, "memory_passes", refuse)
    (found,) = measured(*given(tmp_path, "Known", "inference", block=1))
    assert (found.status, found.reason) == ("skipped", "no counter here")
    assert found.values == {"parameters": 8, "buffers": 0}


def test_a_device_without_peak_memory_raises_its_name() -> None:
    with pytest.raises(DeviceError, match="mps"):
        device_for("mps").memory_passes(lambda: None, torch.device("mps"))


def shown(measurements: list[Measurement], width: int = 80, device: str = "cpu") -> str:
    """The output of ``seqbench show --memory`` for a run with one case."""
    choice = {"name": "lstm", "params": {}, "distribution": "tests", "version": "0"}
    case = {"id": "lstm-0", "label": "lstm", "model": choice, "dataset": choice, "train": {}}
    plan: Any = {"cases": [{**case, "device": device}], "trials": []}
    made = build_document(
        "results/x",
        state={"suite": "x", "status": "finished"},
        plan=plan,
        environment={},
        trials=[],
        cases=[CaseRecord("lstm-0", tuple(measurements))],
    )
    file = io.StringIO()
    print_view(memory_view(made), Console(width=width, file=file))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    return text


def of_mode(mode: str, length: int = 50, size: int = 16, **more: Any) -> Measurement:
    held = {"parameters": 4 * MIB, "buffers": 0}
    held |= {"gradients": 4 * MIB, "optimizer": 8 * MIB} if mode == "training" else {}
    values = memory_figures(held, [Pass(300 * MIB, (300 + size) * MIB)])
    at = {"mode": mode, "batch_size": 64, "length": length}
    return Measurement("memory", "B", at, {**values, **more})


def test_the_table_shows_the_breakdown_and_the_raw_figures() -> None:
    text = shown([of_mode("inference"), of_mode("training")])
    inference, training, *read = [
        line.split() for line in text.splitlines() if line.startswith("lstm")
    ]
    assert inference == ["lstm", "4.00", "0", "16.0", "20.0"]
    assert training == ["lstm", "4.00", "0", "4.00", "8.00", "12.0", "28.0"]
    assert read[0] == ["lstm,", "inference", "300", "316", "16.0"]
    assert "n/a" not in text
    assert "reserved" not in text
    assert "growth with length" not in text


def test_unavailable_columns_of_cuda_have_a_reason() -> None:
    missing = {"process": "no NVIDIA driver: its library NVML is not installed"}
    cuda = of_mode("inference", reserved=32 * MIB, process=None, missing=missing)
    text = shown([cuda, of_mode("training", reserved=64 * MIB, process=512 * MIB)], device="cuda:0")
    assert "peak reserved" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("lstm, ")]
    assert [row[-2:] for row in rows] == [["32.0", "n/a"], ["64.0", "512"]]
    reason = "n/a: lstm, inference: process: no NVIDIA driver: its library NVML is not installed"
    assert reason in " ".join(text.split())


def test_a_mode_that_could_not_be_measured_has_a_reason_in_the_table() -> None:
    at = {"mode": "training", "batch_size": 64, "length": 50}
    failed = Measurement("memory", "B", at, status="out_of_memory", reason="needed more than 2 GiB")
    text = shown([of_mode("inference"), failed])
    row = [line for line in text.splitlines() if line.startswith("lstm ")][1]
    assert row.split() == ["lstm", *["n/a"] * 6]
    assert "needed more than 2 GiB" in text
    assert "No memory figures in this run: needed more" in shown([failed])[:60]


def test_growth_is_shown_with_its_exponent() -> None:
    found = [of_mode("inference", length, length**2) for length in (10, 20, 40)]
    text = shown(found)
    assert "growth with length" in text
    power = next(line for line in text.splitlines() if "exponent" in line)
    assert power.split() == ["exponent", "n/a", "2.00", "n/a"]
