"""Lets the cases of one device take turns, so that the machine's moods hit all of them alike.

Every case is loaded and warmed in several processes of its own. Then, with nothing else running,
each of them is timed in short blocks, in a fresh random order every round.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seqbench import stats
from seqbench.errors import WorkerError
from seqbench.process import WorkerProcess, interrupts_wait
from seqbench.records import Measurement, Status

#: The first call of a block meets caches, and threads, of whoever ran before: it is kept in the
#: samples and left out of the figures.
DROPPED = 1
LEAST_ROUNDS = 5
#: Share of the time budget that goes into windows for throughput, at the largest batch.
WINDOW_SHARE = 0.2

Tell = Callable[[Mapping[str, Any]], None]
METHOD = "median of per-process medians of blocks taking turns in random order"


class _Failed(Exception):
    """A case's process did not answer as it should; the text says why."""

    def __init__(self, reason: str, status: Status = "failed"):
        super().__init__(reason)
        self.status = status


class _Entrant:
    """One case in the contest, with all its processes."""

    def __init__(self, case: Mapping[str, Any]):
        self.case = case
        self.workers: list[_Server] = []
        self.ready: list[Mapping[str, Any]] = []
        self.blocks: list[dict[str, Any]] = []
        self.windows: list[dict[str, Any]] = []
        self.failure: _Failed | None = None

    def end(self) -> None:
        for worker in self.workers:
            worker.kill()


def measure(job: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Latency and throughput of every case of one device.

    Args:
        job: ``cases`` (each with ``id``, ``label``, ``model``, ``data``, ``weights`` (a list of
            files: the processes take them in turn), ``device``), ``settings`` (``budget`` in
            seconds per case, ``batch_sizes``, ``threads``, ``processes``), ``folder`` (the run's),
            ``cores``, ``limit`` (seconds that a single answer may take).
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
            _guarded(entrant, _enter, number, job)
        for entrant, number in group:
            _guarded(entrant, _meet, number)
        tell(
            {"say": f"warming up: {min(first + at_once, len(pending))} of {len(pending)} processes"}
        )


def _meet(entrant: _Entrant, process: int) -> None:
    entrant.ready.append(entrant.workers[process].answer()["ready"])


def _enter(entrant: _Entrant, number: int, job: Mapping[str, Any]) -> None:
    """Starts one more process of a case."""
    case, settings = entrant.case, job["settings"]
    weights = case["weights"][number % len(case["weights"])]
    request = {
        "kind": "serve",
        "threads": settings["threads"],
        "model": case["model"],
        "data": case["data"],
        "device": case["device"],
        "weights": weights,
        "batch_sizes": settings["batch_sizes"],
        "warm_up": settings["warm_up"],
    }
    log = Path(job["folder"]) / "logs" / f"{case['id']}-latency.log"
    try:
        with interrupts_wait():
            entrant.workers.append(_Server(request, log, job["limit"]))
    except WorkerError as error:
        raise _Failed(str(error), "crashed") from error


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
            _guarded(entrant, _block, process, size, number)


def _block(entrant: _Entrant, process: int, size: int, number: int) -> None:
    calls = entrant.ready[process]["warm"][str(size)]["calls"]
    times = entrant.workers[process].ask({"batch_size": size, "calls": calls})["ns"]
    entrant.blocks.append({"round": number, "process": process, "batch_size": size, "ns": times})


def _windows(entrants: list[_Entrant], settings: Mapping[str, Any]) -> None:
    seconds = WINDOW_SHARE * settings["budget"] / settings["processes"]
    turns = [(entrant, process) for entrant in entrants for process in range(len(entrant.workers))]
    random.shuffle(turns)
    for entrant, process in turns:
        _guarded(entrant, _window, process, max(settings["batch_sizes"]), seconds)


def _window(entrant: _Entrant, process: int, size: int, seconds: float) -> None:
    answer = entrant.workers[process].ask({"batch_size": size, "window": seconds})
    entrant.windows.append({"process": process, "batch_size": size, **answer})


class _Server(WorkerProcess):
    """A worker that serves; silence, failure and death are :class:`_Failed`."""

    def __init__(self, job: Mapping[str, Any], log: Path, patience: float):
        super().__init__(job, log)
        self.patience = patience

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with contextlib.suppress(OSError):  # it has gone: the answer says how
            self.send(request)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        if not self.connection.poll(self.patience):
            raise _Failed(f"no answer within {self.patience:g} s", "timeout")
        try:
            message = self.receive()
        except EOFError:
            self.close()
            raise _Failed(self.ending(), "crashed") from None
        if "done" in message:
            raise _Failed(message["done"]["reason"], message["done"]["status"])
        return message


def _guarded(entrant: _Entrant, action: Callable[..., None], *arguments: Any) -> None:
    """A case that fails is out of the contest; the others go on."""
    if entrant.failure is not None:
        return
    try:
        action(entrant, *arguments)
    except _Failed as failure:
        entrant.failure = failure
        entrant.end()


def _measurements(
    entrant: _Entrant, settings: Mapping[str, Any], folder: Path
) -> list[dict[str, Any]]:
    """What came of one case. Samples that cannot be kept are no measurement."""
    try:
        if entrant.failure is not None:
            raise entrant.failure
        return [asdict(measurement) for measurement in _figures(entrant, settings, folder)]
    except _Failed as failure:
        status, reason = failure.status, str(failure)
    except OSError as error:
        status, reason = "failed", f"cannot write the samples: {error.strerror}"
    failed = Measurement("latency", "s", status=status, reason=reason, method=METHOD)
    return [asdict(failed)]


def _figures(entrant: _Entrant, settings: Mapping[str, Any], folder: Path) -> Iterator[Measurement]:
    samples = f"samples/{entrant.case['id']}.json.gz"
    kept = {"unit": "ns", "dropped": DROPPED, "blocks": entrant.blocks, "windows": entrant.windows}
    _keep(folder / samples, kept)
    for size in settings["batch_sizes"]:
        at = {"batch_size": size, "threads": settings["threads"]}
        values = summarize(entrant.blocks, size)
        values["steady"] = all(ready["warm"][str(size)]["steady"] for ready in entrant.ready)
        yield Measurement("latency", "s", at, values, samples=samples, method=METHOD)
    at = {"batch_size": max(settings["batch_sizes"]), "threads": settings["threads"]}
    values = stats.throughput([(w["samples"], w["seconds"]) for w in entrant.windows])
    yield Measurement(
        "throughput", "1/s", at, values, samples=samples, method="one window per process"
    )
    cold = {
        name: stats.median([ready["cold"][name] for ready in entrant.ready])
        for name in entrant.ready[0]["cold"]
    }
    yield Measurement(
        "cold", "s", {}, cold, method="median over processes, with another one loading beside it"
    )


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
    with unfinished.open("wb") as file:
        file.write(gzip.compress(json.dumps(samples).encode()))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
