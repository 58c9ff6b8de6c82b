"""Lets the cases of one device take turns, so that the machine's moods hit all of them alike.

Every case is loaded and warmed up in a process of its own. Then, with nothing else running, each of
them is timed in short blocks, in a fresh random order every round. After a share of the time the
processes end, and new ones take their place: processes of one model differ, so only they count as
independent, and only cases that took turns at the same time are held against each other.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from seqbench.errors import StoreError, WorkerError
from seqbench.measure.latency.checkpoint import Checkpoint, Failed
from seqbench.measure.latency.comparisons import compare_cases
from seqbench.measure.latency.protocol import LEAST_PROCESSES, LEAST_ROUNDS, WINDOW_SHARE
from seqbench.measure.latency.samples import METHOD, Samples
from seqbench.records import Measurement
from seqbench.workers.channel import GARBLED
from seqbench.workers.process import WorkerProcess, interrupts_wait

Tell = Callable[[Mapping[str, Any]], None]


class _Entrant:
    """One case in the contest: its process of the moment, and all that was found so far."""

    def __init__(self, case: Mapping[str, Any], folder: str, tell: Tell):
        self.case, self.folder, self.tell = case, Path(folder), tell
        self.worker: _TimingWorker | None = None
        self.ready: list[Mapping[str, Any]] = []
        self.samples = Samples()
        self.failure: Failed | None = None

    def end(self) -> None:
        if self.worker is not None:
            self.worker.kill()

    def ask(self, request: Mapping[str, Any], wanted: str) -> dict[str, Any]:
        assert self.worker is not None  # only entrants that entered are asked
        return self.worker.ask(request, wanted)


def run_contest(job: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Latency and throughput of every case of one device, and how they compare.

    Args:
        job: ``cases`` (each with ``id``, ``label``, ``model``, ``data``, ``weights`` (a list of
            files: the processes take them in turn), ``train``, ``device``), ``settings``
            (``budget`` in seconds per case, ``batch_sizes``, ``seq_lens``, ``threads``,
            ``runtimes``, ``processes``, ``warm_up``, ``precision``, ``training_step``),
            ``folder`` (the run's), ``cores``, ``limit`` (seconds that a single answer may take);
            there may be ``memory`` (bytes that each process may hold) and ``unfinished`` (as
            :class:`.checkpoint.Checkpoint`, which keeps the contest should it be interrupted).
        tell: called with progress, and with ``out``, ``status`` and ``reason`` where a case fails.

    Returns:
        ``{"met": …, "cases": {id: [measurement, …]}, "comparisons": […]}``, each as
        :class:`seqbench.records.Measurement` and :class:`seqbench.records.Comparison`; ``met`` is
        this contest's alone.
    """
    entrants = [_Entrant(case, job["folder"], tell) for case in job["cases"]]
    unfinished = Checkpoint.of(job.get("unfinished"))
    met, done = _go_on(entrants, unfinished)
    try:
        while done < job["settings"]["processes"] and (
            done < LEAST_PROCESSES or not _precise(entrants, job["settings"]["precision"])
        ):
            _compete(entrants, done, job, tell)
            done += 1
            samples = {entrant.case["id"]: entrant.samples for entrant in entrants}
            failures = {e.case["id"]: e.failure for e in entrants if e.failure is not None}
            unfinished.keep(met, done, samples, failures)
    finally:
        for entrant in entrants:
            entrant.end()
    found = {e.case["id"]: _measurements(e, met, job) for e in entrants}
    timed = {e.case["id"]: e.samples for e in entrants if e.failure is None}
    rivals = {e.case["id"]: e.case["data"] for e in entrants}
    comparisons = compare_cases(timed, rivals)
    compared = [asdict(replace(comparison, met=met)) for comparison in comparisons]
    return {"met": met, "cases": found, "comparisons": compared}


def _go_on(entrants: Sequence[_Entrant], unfinished: Checkpoint) -> tuple[str, int]:
    """Gives every case what it had when the contest was interrupted; which one, and after how many
    processes that was.
    """
    met, done, samples, failures = unfinished.read()
    for entrant in entrants:
        entrant.samples = samples.get(entrant.case["id"], entrant.samples)
        entrant.failure = failures.get(entrant.case["id"])
    return met, done


def _compete(entrants: list[_Entrant], number: int, job: Mapping[str, Any], tell: Tell) -> None:
    """One process of every case takes its turns."""
    settings = job["settings"]
    tell({"say": f"process {number + 1} of {settings['processes']}: warming up"})
    _start(entrants, number, job)
    _warm_up(entrants, job)
    seconds = settings["budget"] / settings["processes"]
    tell({"step": number, "steps": settings["processes"]})
    _take_turns(entrants, number, (1 - WINDOW_SHARE) * seconds)
    _windows(entrants, WINDOW_SHARE * seconds)
    for entrant in entrants:
        entrant.end()


def _start(entrants: list[_Entrant], number: int, job: Mapping[str, Any]) -> None:
    """Loads one after the other, so that none is disturbed while its cold figures are taken."""
    core = _some_core()
    for entrant in entrants:
        _guarded(entrant, _enter, number, core, job)


def _some_core() -> int | None:
    """Where all cases of one turn run, as far as they use one thread.

    Left to the system, one case may stay beside a busy program while another has a core to itself.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    return random.choice(sorted(os.sched_getaffinity(0)))


def _enter(entrant: _Entrant, number: int, core: int | None, job: Mapping[str, Any]) -> None:
    case, settings = entrant.case, job["settings"]
    request = {
        "kind": "serve",
        "threads": max(settings["threads"]),
        "memory": job.get("memory"),
        "settings": settings,
        "core": core if case["device"] == "cpu" else None,
        **{key: case[key] for key in ("model", "data", "device", "train")},
        "weights": case["weights"][number % len(case["weights"])],
    }
    log = Path(job["folder"]) / "logs" / f"{case['id']}-latency.log"
    try:
        with interrupts_wait():
            entrant.worker = _TimingWorker(request, log, job["limit"])
    except WorkerError as error:
        raise Failed(str(error), "crashed") from error
    loaded = entrant.worker.answer("loaded")["loaded"]
    entrant.samples.enter(loaded["cells"], loaded["cold"])


def _warm_up(entrants: list[_Entrant], job: Mapping[str, Any]) -> None:
    """As many at once as there are cores."""
    settings = job["settings"]
    at_once = max(1, job["cores"] // max(settings["threads"]))
    there = [entrant for entrant in entrants if entrant.failure is None]
    for first in range(0, len(there), at_once):
        group = there[first : first + at_once]
        for entrant in group:
            _guarded(entrant, _ask_to_warm_up, settings["warm_up"])
        for entrant in group:
            _guarded(entrant, _meet)


def _ask_to_warm_up(entrant: _Entrant, seconds: float) -> None:
    assert entrant.worker is not None
    entrant.worker.request({"warm_up": seconds})


def _meet(entrant: _Entrant) -> None:
    assert entrant.worker is not None
    entrant.ready = entrant.worker.answer("ready")["ready"]
    for cell, ready in enumerate(entrant.ready):
        entrant.samples.warmed_up(cell, ready)


def _take_turns(entrants: list[_Entrant], process: int, share: float) -> None:
    """Rounds until each case has had ``share`` seconds on average.

    Blocks of the same setting stand together, so that what is compared is close in time.
    """
    clock = time.monotonic()
    number = 0
    while True:
        turns = _turns(entrants)
        total = share * len({id(entrant) for group in turns for entrant, _ in group})
        if not turns or (number >= LEAST_ROUNDS and time.monotonic() - clock >= total):
            return
        random.shuffle(turns)
        for group in turns:
            random.shuffle(group)
            for entrant, cell in group:
                _guarded(entrant, _block, cell, process, number)
        number += 1


def _turns(entrants: Sequence[_Entrant]) -> list[list[tuple[_Entrant, int]]]:
    """Every cell of every case, those with the same settings together."""
    groups: dict[Any, list[tuple[_Entrant, int]]] = {}
    for entrant in entrants:
        if entrant.failure is None:
            for cell in entrant.samples.open_cells():
                groups.setdefault(entrant.samples.key(cell), []).append((entrant, cell))
    return list(groups.values())


def _block(entrant: _Entrant, cell: int, process: int, number: int) -> None:
    times = entrant.ask({"cell": cell, "calls": entrant.ready[cell]["calls"]}, "ns")["ns"]
    entrant.samples.add_block(cell, process, number, times)


def _windows(entrants: Sequence[_Entrant], seconds: float) -> None:
    for entrant in random.sample(entrants, len(entrants)):
        _guarded(entrant, _window, seconds)


def _window(entrant: _Entrant, seconds: float) -> None:
    cell = entrant.samples.largest_cell()
    if cell is not None:
        entrant.samples.add_window(
            cell, **entrant.ask({"cell": cell, "window": seconds}, "samples")
        )


def _precise(entrants: Sequence[_Entrant], precision: float) -> bool:
    return all(e.samples.precise(precision) for e in entrants if e.failure is None)


class _TimingWorker(WorkerProcess):
    """A worker that serves; silence, failure and death are :class:`Failed`."""

    def __init__(self, job: Mapping[str, Any], log: Path, patience: float):
        super().__init__(job, log)
        self.patience = patience

    def ask(self, request: Mapping[str, Any], wanted: str) -> dict[str, Any]:
        self.request(request)
        return self.answer(wanted)

    def request(self, request: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it has gone: the answer says how
            self.channel.send(request)

    def answer(self, wanted: str) -> dict[str, Any]:
        """The next message, which has that part."""
        try:
            message = self.receive(self.patience)
            if not message.keys() & {wanted, "done"}:
                raise ValueError(GARBLED)
        except TimeoutError:
            raise Failed(f"no answer within {self.patience:g} s", "timeout") from None
        except ValueError as error:
            raise Failed(str(error), "crashed") from error
        except EOFError:
            self.close()
            raise Failed(self.ending(), "crashed") from None
        if "done" in message:
            raise Failed(message["done"]["reason"], message["done"]["status"])
        return message


def _guarded(entrant: _Entrant, action: Callable[..., None], *arguments: Any) -> None:
    """A case that fails is out of the contest; the others go on.

    Raises:
        StoreError: the run's folder is gone, and that is what it failed of.
    """
    if entrant.failure is not None:
        return
    try:
        action(entrant, *arguments)
    except Failed as failure:
        if not entrant.folder.is_dir():
            raise StoreError(f"{entrant.folder} is gone") from failure
        entrant.failure = failure
        title = f"{entrant.case['label']}, while it was timed"
        entrant.tell({"out": title, "status": failure.status, "reason": str(failure)})
        entrant.end()


def _samples_file(entrant: _Entrant, job: Mapping[str, Any]) -> Path:
    return Path(job["folder"]) / "samples" / f"{entrant.case['id']}.json.gz"


def _measurements(entrant: _Entrant, met: str, job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What came of one case. Samples that cannot be kept are no measurement."""
    try:
        if entrant.failure is not None:
            raise entrant.failure
        path = _samples_file(entrant, job)
        entrant.samples.keep(path, met)
        name = f"{path.parent.name}/{path.name}"
        found = entrant.samples.measurements(name, job["settings"]["precision"])
        return [asdict(measurement) for measurement in found]
    except Failed as failure:
        status, reason = failure.status, str(failure)
    except OSError as error:
        status, reason = "failed", f"cannot write the samples: {error.strerror}"
    failed = Measurement("latency", "s", status=status, reason=reason, method=METHOD)
    return [asdict(failed)]
