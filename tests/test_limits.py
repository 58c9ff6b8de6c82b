"""Cores and memory that this process may use, with files of control groups made by hand."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
from conftest import lay

from seqbench.machine import environment
from seqbench.machine.limits import (
    Limits,
    limits,
    machine_memory,
    quota_waits,
    usable_cores,
    usable_memory,
)

GIB = 2**30
TOP = "sys/fs/cgroup"


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores and 16 GiB."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr("seqbench.machine.limits.machine_memory", lambda: 16 * GIB)


def test_the_machine_itself_is_the_limit_without_control_groups(tmp_path: Path) -> None:
    assert limits(tmp_path) is None
    assert quota_waits(tmp_path) is None
    assert usable_cores(tmp_path) == 8
    assert usable_memory(tmp_path) == 16 * GIB
    assert psutil.virtual_memory().total == machine_memory()


def test_version_2(tmp_path: Path) -> None:
    """In a container the path of the own group is hidden: the nearest above it counts."""
    group = f"{TOP}/box"
    lay(tmp_path, {
        "proc/self/cgroup": "0::/box/hidden/inside\n",
        f"{TOP}/cgroup.controllers": "cpu memory\n",
        f"{group}/cpu.max": "150000 100000\n",
        f"{group}/cpu.stat": "usage_usec 5\nnr_periods 10\nnr_throttled 7\nthrottled_usec 9\n",
        f"{group}/memory.max": f"{GIB}\n",
        f"{group}/memory.current": f"{GIB // 2}\n",
    })  # fmt: skip
    assert limits(tmp_path) == Limits(1.5, GIB, GIB // 2)
    assert quota_waits(tmp_path) == 7
    assert usable_cores(tmp_path) == 1
    assert usable_memory(tmp_path) == GIB


def test_version_2_as_a_container_sees_its_own_group(tmp_path: Path) -> None:
    lay(tmp_path, {
        "proc/self/cgroup": "0::/\n",
        f"{TOP}/cgroup.controllers": "cpu memory\n",
        f"{TOP}/cpu.max": "400000 100000\n",
        f"{TOP}/memory.max": f"{2 * GIB}\n",
    })  # fmt: skip
    assert limits(tmp_path) == Limits(4.0, 2 * GIB, None)
    assert usable_cores(tmp_path) == 4


def test_version_2_without_limits(tmp_path: Path) -> None:
    lay(tmp_path, {
        "proc/self/cgroup": "0::/user.slice/session\n",
        f"{TOP}/cgroup.controllers": "cpu memory\n",
        f"{TOP}/user.slice/session/cpu.max": "max 100000\n",
        f"{TOP}/user.slice/session/memory.max": "max\n",
        f"{TOP}/user.slice/session/memory.current": "4096\n",
    })  # fmt: skip
    assert limits(tmp_path) == Limits(None, None, 4096)
    assert usable_cores(tmp_path) == 8
    assert usable_memory(tmp_path) == 16 * GIB


def test_the_tightest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    """The group itself allows more than the two above it."""
    lay(tmp_path, {
        "proc/self/cgroup": "0::/system.slice/job/step\n",
        f"{TOP}/cgroup.controllers": "cpu memory\n",
        f"{TOP}/system.slice/cpu.max": "200000 100000\n",
        f"{TOP}/system.slice/cpu.stat": "nr_throttled 5\n",
        f"{TOP}/system.slice/memory.max": f"{8 * GIB}\n",
        f"{TOP}/system.slice/memory.current": "1\n",
        f"{TOP}/system.slice/job/cpu.max": "max 100000\n",
        f"{TOP}/system.slice/job/memory.max": f"{3 * GIB}\n",
        f"{TOP}/system.slice/job/memory.current": f"{GIB}\n",
        f"{TOP}/system.slice/job/step/cpu.max": "600000 100000\n",
        f"{TOP}/system.slice/job/step/cpu.stat": "nr_throttled 2\n",
        f"{TOP}/system.slice/job/step/memory.max": "max\n",
        f"{TOP}/system.slice/job/step/memory.current": "2\n",
    })  # fmt: skip
    assert limits(tmp_path) == Limits(2.0, 3 * GIB, GIB)
    assert usable_cores(tmp_path) == 2
    assert usable_memory(tmp_path) == 3 * GIB
    assert quota_waits(tmp_path) == 7


def test_version_1(tmp_path: Path) -> None:
    """A memory limit above what the machine has is none."""
    lay(tmp_path, {
        "proc/self/cgroup": "4:memory:/m\n2:cpu,cpuacct:/\n0::/\n",
        f"{TOP}/cpu/cpu.cfs_quota_us": "250000\n",
        f"{TOP}/cpu/cpu.cfs_period_us": "100000\n",
        f"{TOP}/cpu/cpu.stat": "nr_periods 0\nnr_throttled 2\nthrottled_time 0\n",
        f"{TOP}/memory/m/memory.limit_in_bytes": "9223372036854771712\n",
        f"{TOP}/memory/m/memory.usage_in_bytes": "4096\n",
    })  # fmt: skip
    assert limits(tmp_path) == Limits(2.5, None, 4096)
    assert quota_waits(tmp_path) == 2
    assert usable_cores(tmp_path) == 2
    assert usable_memory(tmp_path) == 16 * GIB


def test_version_1_nested(tmp_path: Path) -> None:
    """Without limits of its own; both are set above. The folder is called as its controllers."""
    cpu = f"{TOP}/cpu,cpuacct"
    lay(tmp_path, {
        "proc/self/cgroup": "4:memory:/m/n\n2:cpu,cpuacct:/docker/box\n1:name=systemd:/x\n",
        f"{cpu}/docker/cpu.cfs_quota_us": "300000\n",
        f"{cpu}/docker/cpu.cfs_period_us": "100000\n",
        f"{cpu}/docker/box/cpu.cfs_quota_us": "-1\n",
        f"{cpu}/docker/box/cpu.cfs_period_us": "100000\n",
        f"{TOP}/memory/m/memory.limit_in_bytes": f"{4 * GIB}\n",
        f"{TOP}/memory/m/memory.usage_in_bytes": f"{GIB}\n",
        f"{TOP}/memory/m/n/memory.limit_in_bytes": "9223372036854771712\n",
        f"{TOP}/memory/m/n/memory.usage_in_bytes": "4096\n",
    })  # fmt: skip
    assert limits(tmp_path) == Limits(3.0, 4 * GIB, GIB)
    assert usable_cores(tmp_path) == 3
    assert usable_memory(tmp_path) == 4 * GIB


def test_a_share_of_a_core_is_one_core(tmp_path: Path) -> None:
    lay(tmp_path, {
        "proc/self/cgroup": "0::/\n",
        f"{TOP}/cgroup.controllers": "cpu\n",
        f"{TOP}/cpu.max": "50000 100000\n",
    })  # fmt: skip
    assert usable_cores(tmp_path) == 1


@pytest.mark.parametrize(
    ("found", "noted"),
    [(None, None), (Limits(), "max"), (Limits(None, GIB, 1), str(GIB))],
)
def test_the_environment_notes_the_memory_limit(
    monkeypatch: pytest.MonkeyPatch, found: Limits | None, noted: str | None
) -> None:
    monkeypatch.setattr(environment, "limits", lambda: found)
    assert environment.describe_environment()["cgroup_memory_max"] == noted
