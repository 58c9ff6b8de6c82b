"""Takes latency samples: a worker that keeps a trained model warm and times it on request."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import random
import re
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seqbench.devices.registry import device_for
from seqbench.errors import reason_of, status_of
from seqbench.measure.latency.cells import Cell, cells_of
from seqbench.measure.latency.figures import DROPPED
from seqbench.measure.latency.protocol import (
    BLOCK_SECONDS,
    MAX_CALLS,
    MAX_WARM_UP,
    MIN_CALLS,
    MIN_WARM_UP_CALLS,
    SETTLE_SECONDS,
    STEADY,
)
from seqbench.measure.latency.training_cell import training_cell
from seqbench.measure.payloads import TimingPayload
from seqbench.measure.subject import Subject
from seqbench.stats.timing import block_figures
from seqbench.training.job import start_training_process
from seqbench.workers.context import JobContext


def answer_requests(payload: TimingPayload, context: JobContext) -> dict[str, Any]:
    """Load the case, then answer requests until ``stop``.

    The first message is ``{"loaded": {"cells": […], "cold": {…}}}``: the cells (see
    :mod:`seqbench.measure.latency.cells`), and the seconds for loading. Requests and replies are

    - ``{"warm_up": seconds}``: ``{"ready": […]}``, for each cell the ``calls`` that fill a block
      and whether times became ``steady``, or ``reason`` and ``status`` of a failure;
    - ``{"cell": 0, "calls": 40}``: ``{"ns": […]}``, one per call, including the first;
    - ``{"cell": 0, "window": 0.3}``: ``{"samples": n, "seconds": s}``, of whole cycles of calls;
    - ``{"stop": true}``.

    """
    ballast = _ballast()
    settings = payload.settings
    if settings.training_step:
        start_training_process(device_for(payload.subject.device))
    subject = Subject(payload.subject, context.workspace, check=False)
    gc.collect()
    gc.freeze()
    gc.disable()
    if settings.training_step:
        cells = [training_cell(subject, payload.subject.train)]
    else:
        cells = cells_of(subject, settings)
    # Read now: the fork server, in which this module was imported, may have had other ones.
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    places = _Places(cores, _core(payload.place, cores), _compiled(payload, context))
    timers = [_Timer(subject, cell, number, places) for number, cell in enumerate(cells)]
    cold: dict[str, float] = {}
    if not settings.training_step and subject.cold:  # nothing of an estimator is loaded
        cold = {**subject.cold, **_first_call(subject, min(settings.batch_sizes))}
    subject.check()  # now that the first call is timed
    _reply(context, loaded={"cells": [cell.settings for cell in cells], "cold": cold})
    while not (request := context.receive()).get("stop"):
        if "warm_up" in request:
            share = request["warm_up"] / len(timers)
            _reply(context, ready=[timer.warm_up(share) for timer in timers])
        elif "window" in request:
            _reply(context, **timers[request["cell"]].window(request["window"]))
        else:
            _reply(context, ns=timers[request["cell"]].block(request["calls"]))
    del ballast
    return {}


def _compiled(payload: TimingPayload, context: JobContext) -> Path | None:
    """The folder in which compilers cache, so that a case's first process compiles everything, and
    the next ones nothing: by default they find what earlier runs have compiled.

    None, which leaves the choice to them, if its path has characters that they cannot handle.
    """
    if context.shared is None or not payload.compiled:
        return None
    folder = context.shared / payload.compiled
    return folder if re.fullmatch(r"[\w./+-]+", str(folder), re.ASCII) else None


def _core(place: float | None, cores: Collection[int]) -> int | None:
    """The CPU core at a place in the list of those that this process may use."""
    if place is None or not cores:
        return None
    return sorted(cores)[int(place * len(cores))]


@dataclass(frozen=True)
class _Places:
    """Where cells are timed.

    Args:
        cores: the CPU cores that this process may use; empty if the system has no CPU affinity.
        core: the one for blocks with one thread; None leaves the choice to the system.
        compiled: where compilers cache, in a folder for each cell; None for their own.
    """

    cores: Collection[int]
    core: int | None
    compiled: Path | None


def _reply(context: JobContext, **parts: Any) -> None:
    context.send({"reply": parts})


def _ballast() -> list[bytearray]:
    """Randomly sized allocations, to vary the addresses of the model's memory.

    Workers are forked from one fork server, so a model's memory would have the same layout in each
    of them. The effect of the layout, up to 1 %, would look like a property of the model.
    """
    return [bytearray(random.randrange(1, 4096)) for _ in range(64)]


class _Timer:
    """Times one cell."""

    def __init__(self, subject: Subject, cell: Cell, number: int, places: _Places):
        self.synchronize = partial(subject.kind.synchronize, subject.device)
        self.cell, self.number, self.places = cell, number, places
        self.calls: Sequence[Callable[[], object]] = ()
        self.facts: dict[str, Any] = {}

    def warm_up(self, seconds: float) -> dict[str, Any]:
        """Call the model until times are steady, for at least ``seconds``.

        A model too slow for twenty calls in the allowed time is reported as not steady.
        """
        try:
            self._prepare()
            times, steady = self._warm_up(seconds)
        except Exception as error:  # a result of this cell; others continue
            if status_of(error) != "skipped":
                traceback.print_exc()
            return {"status": status_of(error), "reason": reason_of(error)}
        finally:
            self._settle()
        cycle = len(self.calls)
        (figure,) = block_figures([times[-2 * self._group :]], cycle)
        calls = cycle * math.ceil(BLOCK_SECONDS * 1e9 / figure / cycle) + DROPPED
        most = (MAX_CALLS - DROPPED) // cycle * cycle + DROPPED
        return {"calls": min(max(calls, MIN_CALLS), most), "steady": steady, **self.facts}

    @property
    def _group(self) -> int:
        """The number of calls in a group: at least ten, in whole cycles."""
        cycle = len(self.calls)
        return cycle * math.ceil(MIN_WARM_UP_CALLS / cycle)

    def _warm_up(self, seconds: float) -> tuple[list[int], bool]:
        """Whole cycles, so that every call is warm."""
        times: list[int] = []
        start, steady = time.monotonic(), False
        cycle, group = len(self.calls), self._group
        while (spent := time.monotonic() - start) < MAX_WARM_UP * seconds or not times:
            times += [self._once(call) for call in self.calls]
            if len(times) >= 2 * group and len(times) % group == 0:
                groups = [times[-2 * group : -group], times[-group:]]
                steady = _agree(*block_figures(groups, cycle))
            else:
                steady = False
            if steady and spent >= seconds:
                break
        return times, steady

    def block(self, calls: int) -> list[int]:
        """Time ``calls`` calls, including synchronization with the device; returns nanoseconds.

        Calls are counted from the start of a cycle; earlier ones are the end of the one before.
        """
        self._prepare()
        self._pin()
        cycle = len(self.calls)
        times = [self._once(self.calls[(n - DROPPED) % cycle]) for n in range(calls)]
        self._settle()
        return times

    def window(self, seconds: float) -> dict[str, Any]:
        """Count the samples of back-to-back calls for ``seconds``, and measure the wall time.

        In whole cycles: a part of one could have the shorter sequences only.
        """
        self._prepare()
        self._pin()
        self._once(self.calls[-1])  # affected by the previous block; not counted
        samples, clock = 0, time.perf_counter()
        with self.cell.mode():
            while not samples or time.perf_counter() - clock < seconds:
                for call in self.calls:
                    call()
                    samples += self.cell.settings["batch_size"]
            self.synchronize()
        spent = time.perf_counter() - clock
        self._settle()
        return {"samples": samples, "seconds": spent}

    def _prepare(self) -> None:
        torch.set_num_threads(self.cell.settings["threads"])
        if not self.calls:
            if self.places.compiled is not None:
                folder = self.places.compiled / str(self.number)
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor")
                os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")
            self.calls, self.facts = self.cell.prepare()
        self.cell.before()

    def _pin(self) -> None:
        """Pin this thread to its core, or remove the pinning."""
        core = self.places.core if self.cell.settings["threads"] == 1 else None
        if self.places.cores:
            os.sched_setaffinity(0, self.places.cores if core is None else {core})

    def _once(self, call: Callable[[], object]) -> int:
        with self.cell.mode():
            self.synchronize()
            clock = time.perf_counter_ns()
            call()
            self.synchronize()
            return time.perf_counter_ns() - clock

    def _settle(self) -> None:
        if self.cell.settings["threads"] > 1:
            time.sleep(SETTLE_SECONDS)


def _first_call(subject: Subject, batch_size: int) -> dict[str, float]:
    """Time the very first call, at the dataset's own length; empty if the model fails.

    The failure is reported when that setting is warmed up.
    """
    x = subject.batch(batch_size).inputs
    with torch.inference_mode(), contextlib.suppress(Exception):
        clock = time.perf_counter()
        subject.model(x)
        subject.synchronize()
        return {"first_call_s": time.perf_counter() - clock}
    return {}


def _agree(a: float, b: float) -> bool:
    return abs(a - b) <= STEADY * min(a, b)
