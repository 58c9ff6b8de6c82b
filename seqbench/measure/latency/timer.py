"""One process that keeps a trained model warm and times it when asked to."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import random
import time
import traceback
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch

from seqbench.errors import reason_of, status_of
from seqbench.measure.latency.cells import Cell, cells_of
from seqbench.measure.latency.protocol import (
    BLOCK_SECONDS,
    LEAST_CALLS,
    LEAST_WARM_UP_CALLS,
    MOST_CALLS,
    MOST_WARM_UP,
    SETTLE_SECONDS,
    STEADY,
)
from seqbench.measure.payloads import TimingPayload
from seqbench.measure.subject import Subject
from seqbench.workers.context import JobContext

#: The cores that this process may use; none where the system does not let one choose.
ANYWHERE = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def answer_requests(payload: TimingPayload, context: JobContext) -> dict[str, Any]:
    """Loads the case, then answers requests until told to stop.

    First it says ``{"loaded": {"cells": […], "cold": {…}}}``: what there is to time (see
    :mod:`seqbench.measure.latency.cells`), and what came before. Requests, and their answers, are

    - ``{"warm_up": seconds}``: ``{"ready": […]}``, for each cell the ``calls`` that fill a block
      and whether times became ``steady``, or ``reason`` and ``status`` of a failure;
    - ``{"cell": 0, "calls": 40}``: ``{"ns": […]}``, one for each call, the first one included;
    - ``{"cell": 0, "window": 0.3}``: ``{"samples": n, "seconds": s}``;
    - ``{"stop": true}``.

    """
    ballast = _ballast()
    subject = Subject(payload.subject, context.workspace)
    gc.collect()
    gc.freeze()
    gc.disable()
    found = cells_of(subject, payload.settings, payload.subject.train)
    timers = [_Timer(subject, cell, payload.core) for cell in found]
    cold = {**subject.cold, **_first_call(subject, min(payload.settings.batch_sizes))}
    _reply(context, loaded={"cells": [cell.settings for cell in found], "cold": cold})
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


def _reply(context: JobContext, **parts: Any) -> None:
    context.send({"reply": parts})


def _ballast() -> list[bytearray]:
    """Memory taken at random beforehand.

    Workers come from one server, so that a model's memory would lie at the same places in each of
    them, and what that is worth, up to a per cent, would pass for a property of the model.
    """
    return [bytearray(random.randrange(1, 4096)) for _ in range(64)]


class _Timer:
    """Times one cell."""

    def __init__(self, subject: Subject, cell: Cell, core: int | None):
        self.synchronize = partial(subject.kind.synchronize, subject.device)
        self.cell = cell
        self.core = core if cell.settings["threads"] == 1 else None
        self.call: Callable[[], object] | None = None
        self.facts: dict[str, Any] = {}

    def warm_up(self, seconds: float) -> dict[str, Any]:
        """Calls until times are steady, for ``seconds`` at least.

        A model so slow that it makes fewer than twenty calls in the time allowed is not known to
        be steady.
        """
        try:
            times, steady = self._warm_up(self._prepare(), seconds)
        except Exception as error:  # it is a result of this cell; the others go on
            traceback.print_exc()
            return {"status": status_of(error), "reason": reason_of(error)}
        finally:
            self._settle()
        calls = math.ceil(BLOCK_SECONDS * 1e9 / median(times[-20:])) + 1
        calls = min(max(calls, LEAST_CALLS), MOST_CALLS)
        return {"calls": calls, "steady": steady, **self.facts}

    def _warm_up(self, call: Callable[[], object], seconds: float) -> tuple[list[int], bool]:
        times: list[int] = []
        start, steady = time.monotonic(), False
        while (spent := time.monotonic() - start) < MOST_WARM_UP * seconds or not times:
            times.append(self._once(call))
            tens = len(times) >= 2 * LEAST_WARM_UP_CALLS and len(times) % 10 == 0
            steady = tens and _agree(median(times[-10:]), median(times[-20:-10]))
            if steady and spent >= seconds:
                break
        return times, steady

    def block(self, calls: int) -> list[int]:
        """Nanoseconds of each of ``calls`` calls, the device's work included."""
        call = self._prepare()
        self._stay()
        times = [self._once(call) for _ in range(calls)]
        self._settle()
        return times

    def window(self, seconds: float) -> dict[str, Any]:
        """Samples that pass in one window of back-to-back calls, and the wall time they took."""
        call = self._prepare()
        self._stay()
        self._once(call)  # meets the caches of whoever ran before
        samples, clock = 0, time.perf_counter()
        with self.cell.mode():
            while not samples or time.perf_counter() - clock < seconds:
                call()
                samples += self.cell.settings["batch_size"]
            self.synchronize()
        spent = time.perf_counter() - clock
        self._settle()
        return {"samples": samples, "seconds": spent}

    def _prepare(self) -> Callable[[], object]:
        torch.set_num_threads(self.cell.settings["threads"])
        if self.call is None:
            self.call, self.facts = self.cell.prepare()
        return self.call

    def _stay(self) -> None:
        """Keeps this thread on its core, or lets it go where it likes."""
        if ANYWHERE:
            os.sched_setaffinity(0, ANYWHERE if self.core is None else {self.core})

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
    """Seconds of the very first call, at the dataset's own length; nothing if the model fails.

    What goes wrong is told when that setting is warmed up.
    """
    x = subject.batch(batch_size)[0]
    with torch.inference_mode(), contextlib.suppress(Exception):
        clock = time.perf_counter()
        subject.model(x)
        subject.synchronize()
        return {"first_call_s": time.perf_counter() - clock}
    return {}


def _agree(a: float, b: float) -> bool:
    return abs(a - b) <= STEADY * min(a, b)
