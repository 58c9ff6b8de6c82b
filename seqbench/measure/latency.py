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
#: Warm-up goes on until the medians of two successive tens agree this well, or for so many times
#: the least time.
STEADY, MOST_WARM_UP = 0.05, 5


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
        warm = {size: _warm_up(subject, x, job["warm_up"]) for size, x in inputs.items()}
        channel.tell({"ready": {"cold": cold, "warm": warm}})
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
    _call(subject, x)  # meets the caches of whoever ran before
    samples, clock = 0, time.perf_counter()
    while not samples or time.perf_counter() - clock < seconds:
        subject.model(x)
        samples += len(x)
    synchronize(subject.device)
    return {"samples": samples, "seconds": time.perf_counter() - clock}


def _warm_up(subject: Subject, x: Tensor, seconds: float) -> dict[str, Any]:
    """Calls until times are steady.

    Returns:
        ``calls`` that fill a block, and whether times became ``steady`` (a model so slow that it
        makes fewer than twenty calls in the time allowed is not known to be).
    """
    times: list[int] = []
    start, steady = time.monotonic(), False
    while (spent := time.monotonic() - start) < MOST_WARM_UP * seconds or not times:
        times.append(_call(subject, x))
        tens = len(times) >= 20 and len(times) % 10 == 0
        steady = tens and _agree(median(times[-10:]), median(times[-20:-10]))
        if steady and spent >= seconds:
            break
    calls = math.ceil(BLOCK_SECONDS * 1e9 / median(times[-20:])) + 1
    return {"calls": min(max(calls, LEAST_CALLS), MOST_CALLS), "steady": steady}


def _agree(a: float, b: float) -> bool:
    return abs(a - b) <= STEADY * min(a, b)
