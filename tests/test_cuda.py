"""What must be right on an NVIDIA GPU. Every test here needs one."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import install_encoder, runner_environment

from seqbench.devices.registry import available_devices, device_for, resolve_device

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

CLI = Callable[..., subprocess.CompletedProcess[str]]
MIB = 2**20

SUITE = """
    name: card
    datasets: [{adding: {length: 12, train_size: 1000, validation_size: 100, test_size: 100}}]
    models:
      - rnn: {hidden_size: 16}
      - lstm: {hidden_size: 16, num_layers: 2, dropout: 0.2}
      - gru: {hidden_size: 16}
      - gru: {hidden_size: 16}
        label: GRU-bf16
        train: {precision: bf16}
    train: {epochs: 2, batch_size: 50, optimizer: {adam: {lr: 1e-2}}, clip_norm: 1.0}
    seeds: 2
    devices: [cuda]
    measure:
      accuracy:
      memory: {batch_size: 8}
      latency: {batch_sizes: [1, 16], budget: 1s, processes: 3, warm_up: 50ms}
    """


def run(folder: Path, text: str = SUITE, *options: str) -> dict[str, Any]:
    """The document of a run in ``folder``, with the records of trials and measurements."""
    folder.mkdir(exist_ok=True)
    (folder / "card.yaml").write_text(textwrap.dedent(text))
    command = [sys.executable, "-m", "seqbench", "run", "card.yaml", "--json", *options]
    done = subprocess.run(
        command, cwd=folder, env=runner_environment(folder), capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.stdout, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    run_folder = folder / document["run"]
    document["records"] = [
        json.loads(path.read_text()) for path in sorted((run_folder / "trials").glob("*.json"))
    ]
    document["measured"] = [
        {"case": path.stem, **one}
        for path in sorted((run_folder / "cases").glob("*.json"))
        for one in json.loads(path.read_text())["measurements"]
    ]
    return document


@pytest.fixture(scope="session")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(tmp_path_factory.mktemp("card"))


def failures(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What has no figure: label, status, reason."""
    rows = [*document["trials"], *document["measured"]]
    return [(str(one.get("label", one.get("case"))), one["status"], one["reason"])
            for one in rows if one["status"] != "ok"]  # fmt: skip


def test_the_card_is_found_and_chosen() -> None:
    found = available_devices()
    assert next(iter(found)) == "cuda:0" == resolve_device("auto", found)
    assert found["cuda:0"] == torch.cuda.get_device_name(0)


def test_every_quantity_is_measured(document: dict[str, Any]) -> None:
    assert failures(document) == []
    assert {one["device"] for one in document["trials"]} == {"cuda:0"}


def test_memory_is_that_of_the_card(document: dict[str, Any]) -> None:
    found = [one for one in document["measured"] if one["quantity"] == "memory"]
    assert found
    for one in found:
        values = one["values"]
        assert "CUDA allocator" in one["method"]
        assert 0 < values["working"] < 64 * MIB
        assert values["peak"] <= values["reserved"]


def test_float32_is_float32(document: dict[str, Any]) -> None:
    assert document["environment"]["tf32"] == {"matmul": False, "cudnn": False}


def test_the_same_seed_gives_the_same_bits(document: dict[str, Any], tmp_path: Path) -> None:
    text = SUITE.partition("    measure:")[0] + "    measure: [accuracy]\n"
    again = run(tmp_path / "again", text)
    first, second = (
        {(one["case"], one["seed"]): one["weights_sha256"] for one in each["records"]}
        for each in (document, again)
    )
    assert len(first) == 8
    assert first == second


def test_cpu_and_card_start_from_the_same_weights_and_learn_alike(
    document: dict[str, Any], tmp_path: Path
) -> None:
    text = SUITE.partition("    measure:")[0].replace("devices: [cuda]", "devices: [cpu]")
    here = run(tmp_path / "cpu", text + "    measure: [accuracy]\n")
    for model in ("rnn", "gru"):  # without dropout, in float32
        first, second = (
            [one for one in each["records"] if one["case"].startswith(f"{model}-")]
            for each in (here, document)
        )
        known = {one["initial"]: one["curve"][0]["train_loss"] for one in first}
        losses = {one["initial"]: one["curve"][0]["train_loss"] for one in second}
        assert known.keys() == losses.keys()
        if model == "rnn":
            assert losses == pytest.approx(known, rel=1e-3)


def test_a_finished_run_resumes_without_training(tmp_path: Path) -> None:
    text = SUITE.partition("    measure:")[0] + "    measure: [accuracy]\n"
    first = run(tmp_path / "runs", text)
    again = run(tmp_path / "runs", text, "--resume")
    assert len(first["records"]) == 8
    assert first["records"] == again["records"]


GREEDY = """
    import torch

    class Greedy(torch.nn.Linear):
        def forward(self, x):
            if self.training:
                torch.empty(2**45, device=x.device)
            return super().forward(x)
    """


def test_out_of_memory_is_a_result(site: Path, tmp_path: Path) -> None:
    install_encoder(site, "greedy", "Greedy", GREEDY)
    text = (
        SUITE.partition("    models:")[0]
        + """
    models: [greedy, {gru: {hidden_size: 4}}]
    train: {epochs: 1, batch_size: 50}
    devices: [cuda]
    measure: [accuracy]
    """
    )
    trials = run(tmp_path, text)["trials"]
    status = {one["model"]: one["status"] for one in trials}
    assert status == {"greedy": "out_of_memory", "gru": "ok"}


COARSE = """
    import torch

    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True

    class Coarse(torch.nn.Module):
        def __init__(self, input_size, out_features=4):
            super().__init__()
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
            self.output_size = out_features
            self.layer = torch.nn.Linear(input_size, out_features)

        def forward(self, x):
            if x.device.type != "cuda":
                return self.layer(x)
            if torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32:
                raise RuntimeError("TF32 is on")
            big = torch.rand(512, 512, device=x.device) - 0.5
            error = (big @ big).double() - big.double() @ big.double()
            if float(error.abs().max()) > 1e-4:  # TF32: about 2e-3
                raise RuntimeError(f"float32 is not computed as float32: {error.abs().max()}")
            return self.layer(x)
    """


def test_a_plugin_cannot_turn_tf32_on(site: Path, tmp_path: Path) -> None:
    install_encoder(site, "coarse", "Coarse", COARSE)
    text = (
        SUITE.partition("    models:")[0]
        + """
    models: [coarse]
    train: {epochs: 1, batch_size: 500}
    devices: [cuda]
    measure:
      accuracy:
      memory: {batch_size: 8}
      latency: {batch_sizes: [1], budget: 200ms, processes: 2, warm_up: 10ms}
    """
    )
    assert failures(run(tmp_path, text)) == []


SLEEPING = """
    import torch

    class Sleeping(torch.nn.Linear):
        def forward(self, x):
            if not self.training:
                torch.cuda._sleep(20_000_000)  # cycles: about 10 ms; returns at once
            return super().forward(x)
    """


def test_latency_includes_the_work_of_the_card(site: Path, tmp_path: Path) -> None:
    install_encoder(site, "sleeping", "Sleeping", SLEEPING)
    text = (
        SUITE.partition("    models:")[0]
        + """
    models: [sleeping]
    train: {epochs: 1, batch_size: 500}
    devices: [cuda]
    measure: {latency: {batch_sizes: [1], budget: 1s, processes: 2, warm_up: 50ms}}
    """
    )
    found = run(tmp_path, text)
    (latency,) = [one for one in found["measured"] if one["quantity"] == "latency"]
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(20_000_000)
    start.record()
    torch.cuda._sleep(20_000_000)
    end.record()
    torch.cuda.synchronize()
    expected = start.elapsed_time(end) / 1e3
    assert latency["values"]["median_s"] == pytest.approx(expected, rel=0.2)
    (rate,) = [one for one in found["measured"] if one["quantity"] == "throughput"]
    assert rate["values"]["per_s"] == pytest.approx(1 / expected, rel=0.2)


@pytest.mark.slow
def test_compiled_models_are_measured(tmp_path: Path) -> None:
    text = SUITE.replace("warm_up: 50ms", "warm_up: 50ms, runtimes: [eager, compile]")
    text = text.replace("batch_sizes: [1, 16]", "batch_sizes: [1]")
    assert failures(run(tmp_path, text)) == []


def test_two_devices_in_one_suite(tmp_path: Path) -> None:
    text = (
        SUITE.partition("    models:")[0]
        + """
    models: [{rnn: {hidden_size: 4}}, {gru: {hidden_size: 4}}]
    train: {epochs: 1, batch_size: 50}
    devices: [cpu, cuda]
    measure:
      accuracy:
      latency: {batch_sizes: [1], budget: 200ms, processes: 2, warm_up: 10ms}
    """
    )
    found = run(tmp_path, text)
    assert failures(found) == []
    assert {one["device"] for one in found["trials"]} == {"cpu", "cuda:0"}


def test_the_driver_reports_this_process_or_says_why_not() -> None:
    from seqbench.errors import DeviceError

    device = torch.device("cuda:0")
    held = torch.ones(256 * MIB // 4, device=device)
    try:
        assert (device_for("cuda:0").process_memory(device) or 0) > held.nbytes
    except DeviceError as error:
        pytest.skip(f"this driver: {error}")


def test_the_card_is_listed_without_a_traceback(seqbench_cli: CLI) -> None:
    done = seqbench_cli("devices")
    assert "cuda:0" in done.stdout
    assert "Traceback" not in done.stderr
