"""Lets the cases of one device take turns, so that the machine's moods hit all of them alike.

Every case is loaded and warmed in several processes of its own. Then, with nothing else running,
each of them is timed in short blocks, in a fresh random order every round.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seqbench import stats
from seqbench.process import WorkerProcess, interrupts_wait
from seqbench.records import Measurement

#: The first call of a block meets caches, and threads, of whoever ran before: it is kept in the
#: samples and left out of the figures.
DROPPED = 1
LEAST_ROUNDS = 5
#: Share of the time budget that goes into windows for throughput.
WINDOW_SHARE = 0.1
WARM_UP_SHARE, MOST_WARM_UP = 0.1, 1.0
READY_SECONDS, ANSWER_SECONDS = 120.0, 60.0

Tell = Callable[[Mapping[str, Any]], None]
METHOD = "median of per-process medians of blocks taking turns in random order"


class _Failed(Exception):
    """A case's process did not answer as it should; the text says why."""


class _Entrant:
    """One case in the contest, with all its processes."""

    def __init__(self, case: Mapping[str, Any]):
        self.case = case
        self.workers: list[WorkerProcess] = []
        self.ready: list[Mapping[str, Any]] = []
        self.blocks: list[dict[str, Any]] = []
        self.windows: list[dict[str, Any]] = []
        self.failure = ""

    def end(self) -> None:
        for worker in self.workers:
            worker.kill()


def measure(job: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Latency and throughput of every case of one device.

    Args:
        job: ``cases`` (each with ``id``, ``label``, ``model``, ``data``, ``weights`` (a list of
            files: the processes take them in turn), ``device``), ``settings`` (``budget`` in
            seconds per case, ``batch_sizes``, ``threads``, ``processes``), ``folder`` (the run's),
            ``cores``.
        tell: called with progress.

    Returns:
        ``{"cases": {id: [measurement, …]}}``, each as :class:`seqbench.records.Measurement`.
    """
    settings = job["settings"]
    entrants = [_Entrant(case) for case in job["cases"]]
    try:
        _start(entrants, job, tell)
        _take_turns(entrants, settings, tell)
        _windows(entrants, settings)
    finally:
        for entrant in entrants:
            entrant.end()
    folder = Path(job["folder"])
    return {"cases": {e.case["id"]: _measurements(e, settings, folder) for e in entrants}}


def _start(entrants: list[_Entrant], job: Mapping[str, Any], tell: Tell) -> None:
    """Loads and warms every process; as many at once as there are cores."""
    settings = job["settings"]
    pending = [(e, number) for number in range(settings["processes"]) for e in entrants]
    at_once = max(1, job["cores"] // settings["threads"])
    for first in range(0, len(pending), at_once):
        group = [(e, number) for e, number in pending[first : first + at_once] if not e.failure]
        for entrant, number in group:
            with interrupts_wait():
                entrant.workers.append(_worker(entrant.case, number, job))
        for entrant, number in group:
            _guarded(entrant, _meet, number)
        tell(
            {"say": f"warming up: {min(first + at_once, len(pending))} of {len(pending)} processes"}
        )


def _meet(entrant: _Entrant, process: int) -> None:
    entrant.ready.append(_answer(entrant.workers[process], READY_SECONDS)["ready"])


def _worker(case: Mapping[str, Any], number: int, job: Mapping[str, Any]) -> WorkerProcess:
    settings = job["settings"]
    weights = case["weights"][number % len(case["weights"])]
    request = {
        "kind": "serve",
        "threads": settings["threads"],
        "model": case["model"],
        "data": case["data"],
        "device": case["device"],
        "weights": weights,
        "batch_sizes": settings["batch_sizes"],
        "warm_up": min(MOST_WARM_UP, WARM_UP_SHARE * settings["budget"]),
    }
    return WorkerProcess(request, Path(job["folder"]) / "logs" / f"{case['id']}-latency.log")


def _take_turns(entrants: list[_Entrant], settings: Mapping[str, Any], tell: Tell) -> None:
    share = (1 - WINDOW_SHARE) * settings["budget"]
    clock = time.monotonic()
    for number in range(10**9):
        turns = [
            (entrant, process, size)
            for entrant in entrants
            if not entrant.failure
            for process in range(len(entrant.workers))
            for size in settings["batch_sizes"]
        ]
        spent = time.monotonic() - clock
        total = share * sum(not entrant.failure for entrant in entrants)
        if not turns or (number >= LEAST_ROUNDS and spent >= total):
            return
        tell({"step": min(spent, total), "steps": total, "round": number})
        random.shuffle(turns)
        for entrant, process, size in turns:
            if not entrant.failure:
                _guarded(entrant, _block, process, size, number)


def _block(entrant: _Entrant, process: int, size: int, number: int) -> None:
    calls = entrant.ready[process]["calls"][str(size)]
    times = _ask(entrant.workers[process], {"batch_size": size, "calls": calls})["ns"]
    entrant.blocks.append({"round": number, "process": process, "batch_size": size, "ns": times})


def _windows(entrants: list[_Entrant], settings: Mapping[str, Any]) -> None:
    sizes = settings["batch_sizes"]
    seconds = WINDOW_SHARE * settings["budget"] / (settings["processes"] * len(sizes))
    turns = [
        (e, process, size) for e in entrants for process in range(len(e.workers)) for size in sizes
    ]
    random.shuffle(turns)
    for entrant, process, size in turns:
        if not entrant.failure:
            _guarded(entrant, _window, process, size, seconds)


def _window(entrant: _Entrant, process: int, size: int, seconds: float) -> None:
    answer = _ask(entrant.workers[process], {"batch_size": size, "window": seconds})
    entrant.windows.append({"process": process, "batch_size": size, **answer})


def _ask(worker: WorkerProcess, request: Mapping[str, Any]) -> dict[str, Any]:
    with contextlib.suppress(OSError):  # it has gone: the answer says how
        worker.send(request)
    return _answer(worker, ANSWER_SECONDS)


def _answer(worker: WorkerProcess, seconds: float) -> dict[str, Any]:
    """The worker's next message. Raises _Failed when it ends, fails or stays silent instead."""
    if not worker.connection.poll(seconds):
        raise _Failed(f"no answer within {seconds:g} s")
    try:
        message = worker.receive()
    except EOFError:
        worker.close()
        raise _Failed(worker.ending()) from None
    if "done" in message:
        raise _Failed(message["done"]["reason"])
    return message


def _guarded(entrant: _Entrant, action: Callable[..., None], *arguments: Any) -> None:
    """A case that fails is out of the contest; the others go on."""
    try:
        action(entrant, *arguments)
    except _Failed as error:
        entrant.failure = str(error)
        entrant.end()


def _measurements(
    entrant: _Entrant, settings: Mapping[str, Any], folder: Path
) -> list[dict[str, Any]]:
    at = [{"batch_size": size, "threads": settings["threads"]} for size in settings["batch_sizes"]]
    if entrant.failure:
        failed = [
            Measurement("latency", "s", one, status="failed", reason=entrant.failure, method=METHOD)
            for one in at
        ]
        return [asdict(measurement) for measurement in failed]
    samples = f"samples/{entrant.case['id']}.json.gz"
    _keep(folder / samples, {"unit": "ns", "dropped": DROPPED, "blocks": entrant.blocks})
    found = [
        Measurement(
            "latency", "s", one, summarize(entrant.blocks, one["batch_size"]),
            samples=samples, method=METHOD,
        )
        for one in at
    ]  # fmt: skip
    for one in at:
        windows = [w for w in entrant.windows if w["batch_size"] == one["batch_size"]]
        values = stats.throughput([(w["samples"], w["seconds"]) for w in windows])
        found.append(Measurement("throughput", "1/s", one, values, method="one window per process"))
    cold = {name: stats.median([ready["cold"][name] for ready in entrant.ready])
            for name in entrant.ready[0]["cold"]}  # fmt: skip
    found.append(Measurement("cold", "s", {}, cold, method="median over processes"))
    return [asdict(measurement) for measurement in found]


def summarize(blocks: list[dict[str, Any]], batch_size: int) -> dict[str, Any]:
    """The figures of one batch size, in seconds, derived from blocks of nanoseconds.

    Args:
        blocks: as they stand in the samples file.
    """
    processes: dict[int, list[list[float]]] = {}
    for block in blocks:
        if block["batch_size"] == batch_size:
            seconds = [ns / 1e9 for ns in block["ns"][DROPPED:]]
            processes.setdefault(block["process"], []).append(seconds)
    return stats.latency([processes[number] for number in sorted(processes)])


def _keep(path: Path, samples: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".partial")
    with gzip.open(unfinished, "wt", encoding="utf-8") as file:
        json.dump(samples, file)
    unfinished.replace(path)
