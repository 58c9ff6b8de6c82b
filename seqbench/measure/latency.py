"""One process that keeps a trained model warm and times it when asked to."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import torch
from torch import Tensor

from seqbench.measure.subject import Subject, synchronize
from seqbench.worker import Channel

#: A block should last this long: short enough for many turns, long against the clock.
BLOCK_SECONDS = 0.02
LEAST_CALLS, MOST_CALLS = 3, 200
#: Warm-up goes on until the medians of two successive tens agree this well, within limits.
STEADY = 0.05


def serve(job: Mapping[str, Any], channel: Channel) -> dict[str, Any]:
    """Loads the case, warms it up, then answers requests until told to stop.

    Requests are ``{"batch_size": 1, "calls": 40}`` (answer ``{"ns": […]}``, one per call, the
    first call after the switch included), ``{"batch_size": 64, "window": 0.3}`` (answer
    ``{"samples": n, "seconds": s}``) and ``{"stop": true}``.

    Args:
        job: as for :class:`Subject`, with ``batch_sizes`` and ``warm_up`` (seconds for each).
    """
    subject = Subject(job)
    inputs = {size: subject.batch(size)[0] for size in job["batch_sizes"]}
    gc.collect()
    gc.disable()
    with torch.inference_mode():
        cold = {**subject.cold, "first_call_s": _call(subject, inputs[min(inputs)]) / 1e9}
        calls = {size: _warm_up(subject, x, job["warm_up"]) for size, x in inputs.items()}
        channel.tell({"ready": {"cold": cold, "calls": calls}})
        while not (request := channel.next_request()).get("stop"):
            x = inputs[request["batch_size"]]
            if "window" in request:
                channel.tell(_window(subject, x, request["window"]))
            else:
                channel.tell({"ns": [_call(subject, x) for _ in range(request["calls"])]})
    return {}


def _call(subject: Subject, x: Tensor) -> int:
    """Nanoseconds of one forward pass, the device's work included."""
    synchronize(subject.device)
    clock = time.perf_counter_ns()
    subject.model(x)
    synchronize(subject.device)
    return time.perf_counter_ns() - clock


def _window(subject: Subject, x: Tensor, seconds: float) -> dict[str, Any]:
    """Samples that pass in one window of back-to-back calls, and the wall time they took."""
    synchronize(subject.device)
    samples, clock = 0, time.perf_counter()
    while not samples or time.perf_counter() - clock < seconds:
        subject.model(x)
        samples += len(x)
    synchronize(subject.device)
    return {"samples": samples, "seconds": time.perf_counter() - clock}


def _warm_up(subject: Subject, x: Tensor, seconds: float) -> int:
    """Calls until times are steady; returns the number of calls that fill a block."""
    times: list[int] = []
    end = time.monotonic() + seconds
    while True:
        times += [_call(subject, x) for _ in range(10)]
        enough = time.monotonic() >= end and len(times) >= 20
        late = time.monotonic() >= end + 2 * seconds
        if late or (enough and _agree(median(times[-10:]), median(times[-20:-10]))):
            break
    calls = math.ceil(BLOCK_SECONDS * 1e9 / median(times[-20:])) + 1
    return min(max(calls, LEAST_CALLS), MOST_CALLS)


def _agree(a: float, b: float) -> bool:
    return abs(a - b) <= STEADY * min(a, b)
