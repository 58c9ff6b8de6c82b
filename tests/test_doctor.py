"""Is this machine fit to measure? With files made by hand, and once for real."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqbench.devices import nvidia
from seqbench.errors import DeviceError
from seqbench.machine import linux, steadiness
from seqbench.machine.doctor import clock_resolution, examine_machine, steadiness_verdict
from seqbench.machine.linux import Limits, Moment
from seqbench.report.caveats import caveats

CPU = "sys/devices/system/cpu"


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_nothing_is_known_where_there_are_no_files(tmp_path: Path) -> None:
    assert linux.load(tmp_path) is None
    assert linux.governors(tmp_path) is None
    assert linux.turbo(tmp_path) is None
    assert linux.throttled(tmp_path) is None
    assert linux.limits(tmp_path) is None
    assert linux.memory_info(tmp_path) == {}
    nothing = linux.moment(tmp_path)
    assert nothing == Moment()
    assert linux.busy(nothing, nothing, 1.0, 1) is None
    assert linux.share(nothing, nothing, "steal") is None


def test_frequency_turbo_and_heat(tmp_path: Path) -> None:
    lay(tmp_path, {
        f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
        f"{CPU}/cpu1/cpufreq/scaling_governor": "performance\n",
        f"{CPU}/intel_pstate/no_turbo": "0\n",
        f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3\n",
        f"{CPU}/cpu0/thermal_throttle/package_throttle_count": "4\n",
        f"{CPU}/cpu0/thermal_throttle/core_throttle_max_time_ms": "99\n",
        f"{CPU}/cpu1/thermal_throttle/core_throttle_count": "5\n",
        "proc/loadavg": "1.58 0.82 0.54 3/97 7295\n",
    })  # fmt: skip
    assert linux.governors(tmp_path) == ["performance", "powersave"]
    assert linux.turbo(tmp_path) is True
    assert linux.throttled(tmp_path) == 12
    assert linux.load(tmp_path) == 1.58


@pytest.mark.parametrize(("boost", "on"), [("1", True), ("0", False)])
def test_turbo_as_amd_tells_it(tmp_path: Path, boost: str, on: bool) -> None:
    assert linux.turbo(lay(tmp_path, {f"{CPU}/cpufreq/boost": boost})) is on


def test_limits_of_control_groups_2(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/box"
    lay(tmp_path, {
        "proc/self/cgroup": "0::/box/hidden/inside\n",
        "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
        f"{group}/cpu.max": "150000 100000\n",
        f"{group}/cpu.stat": "usage_usec 5\nnr_periods 10\nnr_throttled 7\nthrottled_usec 9\n",
        f"{group}/memory.max": "1073741824\n",
        f"{group}/memory.current": "536870912\n",
    })  # fmt: skip
    assert linux.limits(tmp_path) == Limits(1.5, 2**30, 2**29)
    assert linux.moment(tmp_path).quota == 7


def test_control_groups_2_without_limits(tmp_path: Path) -> None:
    lay(tmp_path, {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
        "sys/fs/cgroup/cpu.max": "max 100000\n",
        "sys/fs/cgroup/memory.max": "max\n",
    })  # fmt: skip
    assert linux.limits(tmp_path) == Limits()


def test_limits_of_control_groups_1(tmp_path: Path) -> None:
    """A memory limit above what the machine has is none."""
    lay(tmp_path, {
        "proc/self/cgroup": "4:memory:/m\n2:cpu,cpuacct:/\n0::/\n",
        "proc/meminfo": "MemTotal:       8 kB\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu/cpu.stat": "nr_periods 0\nnr_throttled 2\nthrottled_time 0\n",
        "sys/fs/cgroup/memory/m/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/m/memory.usage_in_bytes": "4096\n",
    })  # fmt: skip
    assert linux.limits(tmp_path) == Limits(2.0, None, 4096)
    assert linux.moment(tmp_path).quota == 2


def stat(pid: int, name: str, user: int, kernel: int) -> dict[str, str]:
    rest = f"S 1 1 1 0 -1 4194560 1 2 3 4 {user} {kernel} 0 0 20 0 1 0 33"
    return {f"proc/{pid}/stat": f"{pid} ({name}) {rest}\n"}


def test_who_was_busy_between_two_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds, 100 ticks a second: 60 ticks of a (b) c, 40 own, 10 of nobody to be seen."""
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    lay(tmp_path, {"proc/stat": "cpu  100 0 100 500 5 0 0 10 0 0\ncpu0 1 1\n",
                   **stat(7, "a (b) c", 5, 5), **stat(8, "own", 0, 0)})  # fmt: skip
    before = linux.moment(tmp_path)
    lay(tmp_path, {"proc/stat": "cpu  190 0 120 770 5 0 0 30 0 0\ncpu0 1 1\n",
                   **stat(7, "a (b) c", 60, 10), **stat(8, "own", 40, 0)})  # fmt: skip
    after = linux.moment(tmp_path)
    assert linux.busy(before, after, 2.0, own=8) == pytest.approx(70 / 200)
    assert linux.busiest(before, after, 2.0, own=8) == [("a (b) c (7)", pytest.approx(60 / 200))]
    assert linux.share(before, after, "steal") == pytest.approx(20 / 400)


def test_the_drivers_list_of_gpu_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "123, 512, /usr/bin/python, with comma\n9, [N/A], [Not Found]\nNo running processes\n"
    found = nvidia.parse(text)
    assert [(one.pid, one.used_bytes) for one in found] == [(123, 512 * 2**20), (9, None)]
    assert found[0].name == "/usr/bin/python, with comma"
    monkeypatch.setattr(nvidia, "processes", lambda gpu=None: found)
    assert nvidia.used_by(123, "GPU-0") == 512 * 2**20
    with pytest.raises(DeviceError, match="does not say how much"):
        nvidia.used_by(9, "GPU-0")
    with pytest.raises(DeviceError, match="does not list this process"):
        nvidia.used_by(10, "GPU-0")


@pytest.mark.parametrize(
    ("script", "reason"),
    [(None, "not installed"), ("echo No devices were found; exit 6", "No devices were found")],
)
def test_a_driver_that_is_not_there_or_fails_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, reason: str
) -> None:
    if script is not None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match=reason):
        nvidia.processes()


def test_the_summary_of_blocks_by_hand() -> None:
    """Sorted 10 … 18: quartiles 12, 14, 16. First third 10, 11, 12; last 16, 17, 18."""
    found = steadiness.summary([10, 11, 12, 13, 14, 15, 16, 17, 18])
    assert (found["median_s"], found["n"]) == (14, 9)
    assert found["spread"] == pytest.approx(4 / 14)
    assert found["slowest"] == pytest.approx(18 / 14)
    assert found["drift"] == pytest.approx(17 / 11 - 1)
    assert found["noise"] == pytest.approx(17 / 11 - 1)
    still = steadiness.summary([3.0])
    assert (still["noise"], still["slowest"]) == (0, 1)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30), st.floats(1e-3, 1e3))
def test_noise_is_a_share_of_whatever_the_unit(blocks: list[float], unit: float) -> None:
    found = steadiness.summary(blocks)
    scaled = steadiness.summary([unit * block for block in blocks])
    assert scaled["noise"] == pytest.approx(found["noise"], rel=1e-6, abs=1e-9)
    assert found["noise"] >= 0
    assert found["slowest"] >= 1


def test_the_verdict() -> None:
    assert steadiness_verdict(0.019).startswith("Steady enough for ±2 %")
    assert steadiness_verdict(0.021).startswith("Not steady enough for ±2 %")
    assert "budget" in steadiness_verdict(0.021)
    assert steadiness_verdict(0.04, 0.05).startswith("Steady enough for ±5 %")


def judged(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """All findings with the files under ``root``, by name."""
    monkeypatch.setattr(steadiness, "blocks", lambda seconds: [1.0, 1.0, 1.0])
    return {finding["name"]: finding for finding in examine_machine(0.0, root)["findings"]}


def test_every_warning_has_a_remedy_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, {
        f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
        f"{CPU}/intel_pstate/no_turbo": "0\n",
        "proc/loadavg": "999 0 0 1/1 1\n",
        "proc/meminfo": "MemTotal: 1000000000 kB\nSwapTotal: 2048 kB\nSwapFree: 1024 kB\n",
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
        "sys/fs/cgroup/memory.max": "1073741824\n",
        "sys/fs/cgroup/memory.current": "1000\n",
    })  # fmt: skip
    found = judged(tmp_path, monkeypatch)
    for name in ("frequency", "turbo", "load", "swap", "memory limit"):
        assert found[name]["level"] == "warn", name
        assert found[name]["remedy"], name
        assert "\n" not in found[name]["remedy"]
    for name in ("same work again", "drift", "slowest block", "CPU limit"):
        assert found[name]["level"] == "ok"
        assert not found[name]["remedy"]


def test_what_nobody_can_tell_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    found = judged(tmp_path, monkeypatch)
    unknown = {name for name, finding in found.items() if finding["level"] == "n/a"}
    assert unknown == {
        "load", "other processes", "stolen time", "frequency", "turbo", "heat", "CPU limit",
        "memory limit", "swap", "GPU processes",
    }  # fmt: skip
    assert all(found[name]["value"] for name in unknown)


def test_the_clock_moves_on_and_reading_it_costs_something() -> None:
    step, cost = clock_resolution()
    assert 0 < step < 10**8
    assert cost > 0


@pytest.mark.parametrize(("noise", "lines"), [(0.05, 1), (0.01, 0), (None, 0)])
def test_a_run_on_a_noisy_machine_carries_a_warning(noise: float | None, lines: int) -> None:
    environment = {} if noise is None else {"doctor": {"noise": noise}}
    document = {
        "status": "finished", "cases": [], "environment": environment,
        "measure": {"latency": {"precision": 0.02}},
    }  # fmt: skip
    found = caveats(document)
    assert len(found) == lines
    assert not found or "too noisy for latency to ±2 %" in found[0]
    assert caveats({**document, "measure": {"latency": None}}) == []
    assert caveats({**document, "measure": {}}) == []


@pytest.mark.slow
def test_the_program_prints_the_check_in_80_columns(
    seqbench_cli: Callable[..., CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = seqbench_cli("devices", "--check")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "same work again" in done.stdout
    assert "teady enough for ±2 %" in done.stdout


def test_a_run_records_the_check_and_cost_at_each_length(
    seqbench_cli: Callable[..., CompletedProcess[str]], write_suite: Callable[[str], Path]
) -> None:
    suite = write_suite(
        """
        datasets: [{parity: {length: 4, train_size: 100}}]
        models: [{rnn: {hidden_size: 4}}]
        train: {epochs: 1, batch_size: 50}
        seeds: 1
        measure:
          latency: {budget: 100ms, batch_sizes: [1], processes: 2, warm_up: 50ms, seq_lens: [2, 8]}
          memory: {batch_size: 2}
        """
    )
    done = seqbench_cli("run", suite, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    check = document["environment"]["doctor"]
    assert check["noise"] == check["steadiness"]["noise"]
    assert {"name", "value", "level", "remedy"} == set(check["findings"][0])
    (case,) = document["cases"]
    assert [entry["length"] for entry in case["lengths"]] == [2, 4, 8]
    own = case["lengths"][1]
    assert own["macs"] == case["macs"]
    assert own["inference_bytes"] == case["memory"]["inference_bytes"]
    assert own["training_bytes"] == case["memory"]["training_bytes"]
    assert case["exponents"]["macs"] == pytest.approx(1, abs=0.1)
    assert case["ops"]
    assert case["warnings"] == []
    shown = seqbench_cli("show", "--memory")
    assert shown.returncode == 0, shown.stderr
    assert "against length" in shown.stdout
