"""Diagnose whether the machine is suitable for benchmarking: findings, severity, remedies."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from seqbench.devices import nvidia
from seqbench.errors import DeviceError
from seqbench.machine import cpu_time, linux
from seqbench.machine.cpu_time import CpuTime
from seqbench.machine.limits import Limits, limits, quota_waits
from seqbench.stats.rounding import beside, percent_beside
from seqbench.workers.context import JobContext

#: The default precision of latency.
PRECISION = 0.02

#: Cores in use by other processes, above which they may disturb timing.
OTHERS_CORES = 0.1

SLOWEST, STEAL = 2.0, 0.01

COARSE_TIMER_NS = 1000

TIMER_READS = 20_000

#: Free memory within a limit, below which a case may not fit.
ROOM_BYTES = 2**30

Level = Literal["ok", "warn", "n/a"]


@dataclass(frozen=True)
class Finding:
    """The result for one property of the machine.

    Args:
        name: the property.
        value: its state, in a few words; for ``n/a`` why it is not available.
        level: ``ok``, ``warn`` (may disturb timing) or ``n/a``.
        remedy: one line; for ``warn`` only.
    """

    name: str
    value: str
    level: Level
    remedy: str = ""


@dataclass(frozen=True)
class DoctorPayload:
    """How many seconds to observe the machine, and whether right after a training."""

    seconds: float
    after_training: bool


def examine(payload: DoctorPayload, context: JobContext) -> dict[str, Any]:
    """:func:`examine_machine` as a job."""
    return examine_machine(payload.seconds, after_training=payload.after_training)


def examine_machine(
    seconds: float, root: Path = Path("/"), *, after_training: bool = False
) -> dict[str, Any]:
    """Diagnose the machine while a reference computation runs. Imports torch.

    Args:
        seconds: duration of the computation.
        root: the root of the Linux kernel's files.
        after_training: omit the load average, which is then caused by the run itself.

    Returns:
        ``findings`` (a :class:`Finding` each), ``steadiness`` (from
        :func:`seqbench.machine.steadiness.summary`), ``noise`` (the summary figure, as a
        fraction) and ``seconds``.
    """
    from seqbench.machine import steadiness

    load = psutil.getloadavg()[0]  # before this function adds to it
    step, cost = clock_resolution()
    heat, waits = linux.throttled(root), quota_waits(root)
    before, clock = cpu_time.cpu_time(), time.perf_counter()
    blocks = steadiness.blocks(seconds)
    took, after = time.perf_counter() - clock, cpu_time.cpu_time()
    steady = steadiness.summary(blocks)
    findings = [
        *_steadiness(steady, PRECISION),
        *([] if after_training else [_load(load, os.cpu_count() or 1)]),
        _others(before, after, took),
        _steal(before, after),
        _governor(linux.governors(root)),
        _turbo(linux.turbo(root)),
        _heat(heat, linux.throttled(root)),
        *_limits(limits(root), waits, quota_waits(root)),
        _swap(),
        _gpu_processes(),
        _timer(step, cost),
    ]
    return {
        "findings": [asdict(finding) for finding in findings],
        "steadiness": steady,
        "noise": steady["noise"],
        "seconds": seconds,
    }


def steadiness_verdict(noise: float, precision: float = PRECISION) -> str:
    """One line: whether the machine is steady enough, and what to do if not."""
    asked, varied = f"±{100 * precision:g} %", f"±{percent_beside(noise, precision)} %"
    if noise <= precision:
        return f"Steady enough for {asked} (the same computation varied by {varied})."
    return (
        f"Not steady enough for {asked}: the same computation varied by {varied}. "
        "Apply the remedies above and diagnose again, or raise measure.latency.budget."
    )


def clock_resolution() -> tuple[int, float]:
    """Resolution of the clock that times calls, and the duration of reading it; in ns."""
    reads = [time.perf_counter_ns() for _ in range(TIMER_READS)]
    steps = [later - earlier for earlier, later in itertools.pairwise(reads)]
    cost = (reads[-1] - reads[0]) / len(steps)
    return min((step for step in steps if step > 0), default=0), cost


def _steadiness(steady: Mapping[str, Any], precision: float) -> Iterator[Finding]:
    half, drift, slowest = steady["spread"] / 2, steady["drift"], steady["slowest"]
    name, sign = "repeatability", "-" if drift < 0 else "+"
    wide, drifts, late = half > precision, abs(drift) > precision, slowest > SLOWEST
    varied, moved = (percent_beside(each, precision) for each in (half, abs(drift)))
    yield _judged(
        name, f"middle half of {steady['n']:,} blocks within ±{varied} %", wide,
        "close other programs; on a shared machine, run when it is idle, or raise the budget",
    )  # fmt: skip
    yield _judged(
        "drift", f"{sign}{moved} % from the first third to the last", drifts,
        "let the machine cool down; use mains power instead of battery; fix the CPU frequency",
    )  # fmt: skip
    yield _judged(
        "slowest block", f"{beside(slowest, SLOWEST, 2)}× the median", late,
        "look for interruptions: scheduled jobs, backups, automatic updates",
    )  # fmt: skip


def _load(load: float, cores: int) -> Finding:
    shown = beside(load, cores / 2, 2)
    value = f"{shown} over the last minute, on {cores} {'core' if cores == 1 else 'cores'}"
    return _judged("load", value, load > cores / 2, "wait a minute, or stop busy programs")


def _others(before: CpuTime, after: CpuTime, seconds: float) -> Finding:
    cores = cpu_time.busy(before, after, seconds, os.getpid())
    named = [
        f"{name} {used:.2f}"
        for name, used in cpu_time.busiest(before, after, seconds, os.getpid())[:2]
        if 0.02 <= used <= cores + 0.005  # never more than the total
    ]
    value = f"{beside(cores, OTHERS_CORES, 2)} cores busy" + (
        f": {', '.join(named)}" if named else ""
    )
    return _judged(
        "other processes", value, cores > OTHERS_CORES, "stop them, or wait until they end"
    )


def _steal(before: CpuTime, after: CpuTime) -> Finding:
    share = cpu_time.stolen(before, after)
    if share is None:
        return Finding("stolen time", "not available on this system", "n/a")
    stolen = f"{percent_beside(share, STEAL)} % taken by other virtual machines"
    return _judged(
        "stolen time", stolen, share > STEAL,
        "use a machine with dedicated cores, or run when it is idle",
    )  # fmt: skip


def _governor(found: Sequence[str] | None) -> Finding:
    if found is None:
        return Finding("frequency", "governor not visible (usual in a virtual machine)", "n/a")
    return _judged(
        "frequency", f"governor {', '.join(found)}", list(found) != ["performance"],
        "sudo cpupower frequency-set -g performance",
    )  # fmt: skip


def _turbo(on: bool | None) -> Finding:
    if on is None:
        return Finding("turbo", "not available on this system", "n/a")
    return _judged(
        "turbo", "on: speed depends on heat" if on else "off", on,
        "turn it off: write 1 to intel_pstate/no_turbo, or 0 to cpufreq/boost",
    )  # fmt: skip


def _heat(before: int | None, after: int | None) -> Finding:
    if before is None or after is None:
        return Finding("heat", "throttle counters not visible (usual in a virtual machine)", "n/a")
    return _judged(
        "heat", f"throttled {after - before}× now, {after}× since boot", after > before,
        "let the machine cool down; clean its fans",
    )  # fmt: skip


def _limits(found: Limits | None, before: int | None, after: int | None) -> Iterator[Finding]:
    if found is None:
        yield Finding("CPU limit", "no control groups on this system", "n/a")
        yield Finding("memory limit", "no control groups on this system", "n/a")
        return
    waits = after - before if before is not None and after is not None else None
    cores = "none" if found.cores is None else f"{found.cores:g} cores"
    waited = "" if waits is None else f"; throttled {waits}×"
    yield _judged(
        "CPU limit", f"{cores}{waited}", bool(waits),
        "raise the CPU quota of the container, or assign whole cores to it (cpuset)",
    )  # fmt: skip
    if found.memory_bytes is None:
        yield Finding("memory limit", "none", "ok")
        return
    used = found.memory_used_bytes
    if used is None:
        value = f"{found.memory_bytes / 2**30:.1f} GiB; memory in use is not available"
        yield Finding("memory limit", value, "n/a")
        return
    value = f"{used / 2**30:.1f} of {found.memory_bytes / 2**30:.1f} GiB in use"
    tight = found.memory_bytes - used < ROOM_BYTES
    yield _judged("memory limit", value, tight, "raise the memory limit of the container")


def _swap() -> Finding:
    swap = psutil.swap_memory()
    value = f"{swap.used / 2**20:,.0f} MiB in use" if swap.total else "none"
    return _judged(
        "swap",
        value,
        swap.used > 0,
        "close programs that use much memory; on Linux: sudo swapoff -a",
    )


def _gpu_processes() -> Finding:
    try:
        others = [one for one in nvidia.processes() if one.pid != os.getpid()]
    except DeviceError as error:
        return Finding("GPU processes", str(error), "n/a")
    named = ", ".join(f"{Path(one.name).name} ({one.pid})" for one in others[:3])
    value = f"{len(others)}: {named}" if others else "none"
    return _judged("GPU processes", value, bool(others), "stop them, or wait until they end")


def _timer(step: int, cost: float) -> Finding:
    value = f"steps of {step} ns, {cost:.0f} ns to read"
    return _judged(
        "timer", value, max(step, cost) > COARSE_TIMER_NS,
        "on Linux, use the tsc clock source (clocksource=tsc)",
    )  # fmt: skip


def _judged(name: str, value: str, bad: bool, remedy: str) -> Finding:
    return Finding(name, value, "warn" if bad else "ok", remedy if bad else "")
