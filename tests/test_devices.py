"""The door for devices: what there is, one more from outside, and what the NVIDIA driver says."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT

from seqbench.devices import nvidia
from seqbench.devices.cpu import cpu_name
from seqbench.devices.registry import (
    DEVICES,
    available_devices,
    device_for,
    is_device_name,
    known_names,
    names_pattern,
    resolve_device,
)
from seqbench.errors import DeviceError, SuiteError
from seqbench.plugins.discovery import load_plugins
from seqbench.suite.validate import load_suite

GIVEN = ("cpu", "mps", "cuda", "cuda:0", "cuda:12")
NOT_GIVEN = ("", "gpu", "auto", "CPU", "cpu:0", "mps:0", "cuda:", "cuda:01", "cuda:-1", "cuda:1000")


def test_names_of_devices() -> None:
    for name in GIVEN:
        assert is_device_name(name)
        assert re.fullmatch(names_pattern(), name)
    for name in NOT_GIVEN:
        assert not is_device_name(name)
        with pytest.raises(DeviceError, match="unknown device "):
            device_for(name)
    assert re.fullmatch(names_pattern(), "auto")
    assert known_names() == "cpu, mps, cuda, cuda:0, cuda:1, …"


def test_auto_takes_the_fastest_kind_there_is() -> None:
    for there, taken in (
        (["cpu"], "cpu"),
        (["cpu", "mps"], "mps"),
        (["cpu", "mps", "cuda:0", "cuda:1"], "cuda:0"),
    ):
        assert resolve_device("auto", there) == taken
    assert resolve_device("cuda", ["cpu"]) == "cuda:0"
    assert resolve_device("cuda:3", ["cpu"]) == "cuda:3"
    assert resolve_device("cpu", ["cpu"]) == "cpu"
    with pytest.raises(DeviceError, match="no device is available"):
        resolve_device("auto", [])
    with pytest.raises(DeviceError, match="unknown device 'tpu'"):
        resolve_device("tpu", ["cpu"])


def test_only_jobs_on_the_cpu_share_its_cores_and_memory() -> None:
    cpu = device_for("cpu")
    assert cpu.shares_cores
    assert cpu.uses_host_memory
    assert cpu.pins_to_core
    for name in ("cuda:0", "mps"):
        other = device_for(name)
        assert not any((other.shares_cores, other.uses_host_memory))
    assert device_for("cuda:0").pins_to_core  # the thread that launches kernels


def test_the_devices_of_this_machine_have_names_that_a_suite_may_use() -> None:
    found = available_devices()
    assert found["cpu"] == cpu_name()
    assert all(is_device_name(name) and text for name, text in found.items())
    assert next(iter(found)) == resolve_device("auto", found)


def test_knowing_the_devices_loads_no_torch() -> None:
    code = (
        "import sys; from seqbench.devices import registry\n"
        "assert registry.device_for('cuda').full_name('cuda') == 'cuda:0'\n"
        "assert not {'torch', 'pynvml', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no /proc/cpuinfo")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel\t\t: 85\nmodel name\t: A CPU @ 2 GHz \n\n"
         "processor\t: 1\nmodel\t\t: 85\nmodel name\t: A CPU @ 2 GHz \n", "A CPU @ 2 GHz"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\n"
         "processor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd05\n\nCPU part\t: 0xd05\n",
         "aarch64, implementer 0x41, part 0xd0b, 0xd05"),
        ("processor\t: 0\n", "aarch64"),
        (None, "aarch64"),
    ],
    ids=["x86", "ARM", "another", "none"],
)  # fmt: skip
def test_the_name_of_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, name: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr("platform.processor", lambda: "")
    if text is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc/cpuinfo").write_text(text)
    assert cpu_name(tmp_path) == name


def test_no_other_file_compares_a_devices_name() -> None:
    kinds = {"cpu", "cuda", "mps"}
    for path in sorted((ROOT / "seqbench").rglob("*.py")):
        if path.parent.name == "devices":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                compared = [node.left, *node.comparators]
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "startswith":
                compared = node.args
            else:
                continue
            texts = {part.value for each in compared for part in ast.walk(each)
                     if isinstance(part, ast.Constant)}  # fmt: skip
            assert not texts & kinds, f"{path}:{node.lineno}"


XPU = """
import torch
from seqbench.devices.base import Device, Pass, PeakMemory

class Xpu(Device):
    names, examples = "xpu(:[0-9])?", "xpu, xpu:0"

    def available(self):
        return {"xpu:0": "an imaginary accelerator"}

    def full_name(self, name):
        return name if ":" in name else f"{name}:0"

    def torch_device(self, name):
        return torch.device("cpu")

    def synchronize(self, device):
        pass

    def memory_passes(self, work, device):
        work()
        return PeakMemory([Pass(2**20, 4 * 2**20, reserved=5 * 2**20)], "imagined")

    def process_memory(self, device):
        return 7 * 2**20
"""

SUITE = """
    datasets: [{parity: {length: 4, train_size: 100}}]
    models: [{rnn: {hidden_size: 4}}]
    devices: [xpu]
    train: {epochs: 1, batch_size: 50}
    seeds: 1
    measure:
      latency: {budget: 100ms, batch_sizes: [1], processes: 2, warm_up: 50ms}
      memory: {batch_size: 2}
    """


def test_a_device_from_outside_is_known_everywhere(
    site: Path, write_suite: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "outside_xpu.py").write_text(XPU)
    monkeypatch.setitem(DEVICES, "xpu", "outside_xpu:Xpu")
    assert available_devices()["xpu:0"] == "an imaginary accelerator"
    assert resolve_device("xpu", ["cpu"]) == "xpu:0"
    assert resolve_device("auto", ["xpu:0"]) == "xpu:0"
    assert re.fullmatch(names_pattern(), "xpu:3")
    plugins = load_plugins()
    assert load_suite(write_suite(SUITE), registry=plugins).devices == ("xpu",)
    with pytest.raises(SuiteError, match="available: auto, xpu, xpu:0, cpu, mps, cuda"):
        load_suite(write_suite(SUITE.replace("[xpu]", "[tpu]")), registry=plugins)


@pytest.mark.slow
def test_a_device_from_outside_runs_a_suite(
    site: Path,
    seqbench_program: Callable[..., CompletedProcess[str]],
    write_suite: Callable[[str], Path],
) -> None:
    """Its file and its line in the registry, in every process; no other file knows of it."""
    (site / "outside_xpu.py").write_text(XPU)
    line = "from seqbench.devices.registry import DEVICES; DEVICES['xpu'] = 'outside_xpu:Xpu'"
    (site / "sitecustomize.py").write_text(line)
    done = seqbench_program("run", write_suite(SUITE), "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["environment"]["devices"]["xpu:0"] == "an imaginary accelerator"
    (case,) = document["cases"]
    assert (case["device"], case["status"]) == ("xpu:0", "ok")
    assert case["latency"][0]["median_s"] > 0
    breakdown = case["memory"]["breakdown"]["training"]
    assert (breakdown["working"], breakdown["reserved"]) == (3 * 2**20, 5 * 2**20)
    assert breakdown["process"] == 7 * 2**20
    shown = seqbench_program("show", "--memory")
    assert "peak reserved" in shown.stdout
    (site / "sitecustomize.py").unlink()  # an installation that does not know the device
    assert seqbench_program("show").returncode == 0


class _Nvml:
    """A stand-in for ``pynvml``: two GPUs, as NVML answers."""

    class NVMLError(Exception):
        pass

    class NVMLError_LibraryNotFound(NVMLError):
        pass

    def __init__(self, *, refuses: str = "", error: type[Exception] | None = None):
        self.refuses, self.error = refuses, error or self.NVMLError
        self.open = 0

    def _ask(self, name: str) -> None:
        if name == self.refuses:
            raise self.error("Driver Not Loaded")

    def nvmlInit(self) -> None:
        self._ask("init")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        self._ask("count")
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> str:
        return f"GPU-{number}"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return uuid

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:
        return {
            "GPU-0": [SimpleNamespace(pid=123, usedGpuMemory=2**29)],
            "GPU-1": [SimpleNamespace(pid=9, usedGpuMemory=None)],
        }[handle]

    def nvmlSystemGetProcessName(self, pid: int) -> str:
        if pid == 9:
            raise self.NVMLError("No Permission")
        return "/usr/bin/python, with comma"


def test_the_drivers_list_of_gpu_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = _Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert nvidia.processes() == [
        nvidia.GpuProcess(123, "/usr/bin/python, with comma", 2**29),
        nvidia.GpuProcess(9, "unknown", None),
    ]
    assert nvidia.used_by(123, "GPU-0") == 2**29
    with pytest.raises(DeviceError, match="does not report memory per process"):
        nvidia.used_by(9, "GPU-1")
    with pytest.raises(DeviceError, match="does not list this process"):
        nvidia.used_by(123, "GPU-1")
    assert nvml.open == 0


@pytest.mark.parametrize(
    ("nvml", "reason"),
    [
        (_Nvml(refuses="init", error=_Nvml.NVMLError_LibraryNotFound),
         "no NVIDIA driver: its library NVML is not installed"),
        (_Nvml(refuses="init"), "the NVIDIA driver does not respond: Driver Not Loaded"),
        (_Nvml(refuses="count"), "the NVIDIA driver failed: Driver Not Loaded"),
    ],
    ids=["none", "not loaded", "fails"],
)  # fmt: skip
def test_a_driver_that_is_not_there_or_fails_says_so(
    monkeypatch: pytest.MonkeyPatch, nvml: _Nvml, reason: str
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with pytest.raises(DeviceError) as refused:
        nvidia.processes()
    assert str(refused.value) == reason
    assert nvml.open == 0


def test_the_real_library_answers_or_says_why_not() -> None:
    """With a driver its processes, without one the one reason."""
    reason = "NVIDIA driver"
    try:
        nvidia.processes()
    except DeviceError as error:
        reason = str(error)
    assert "NVIDIA driver" in reason
    assert "\n" not in reason
