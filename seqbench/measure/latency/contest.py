"""Lets the cases of one device take turns, so that the machine's moods hit all of them alike.

Every case is loaded and warmed up in a process of its own. Then, with nothing else running, each of
them is timed in short blocks, in a fresh random order every round. After a share of the time the
processes end, and new ones take their place: processes of one model differ, so only they count as
independent, and only cases that took turns at the same time are compared.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from seqbench.devices.registry import device_for
from seqbench.errors import StoreError, WorkerError
from seqbench.measure.latency.checkpoint import Checkpoint, Dropout
from seqbench.measure.latency.comparisons import compare_cases
from seqbench.measure.latency.protocol import LEAST_PROCESSES, LEAST_ROUNDS, WINDOW_SHARE
from seqbench.measure.latency.samples import METHOD, Samples
from seqbench.measure.payloads import TimingPayload, TimingSettings, TrainedModel
from seqbench.records import Comparison, Measurement
from seqbench.workers.channel import CORRUPTED
from seqbench.workers.conversation import Conversation
from seqbench.workers.process import interrupts_wait

Tell = Callable[[Mapping[str, Any]], None]

#: What must be in the answers of a timing worker (see :func:`.timer.answer_requests`).
REPLIES: Mapping[str, type] = {
    "loaded": dict, "ready": list, "ns": list, "samples": int, "seconds": float
}  # fmt: skip


class OpenWorker(Protocol):
    """Starts a timing worker. Raises WorkerError: it cannot be started."""

    def __call__(self, payload: TimingPayload, *, log: str) -> Conversation: ...


@dataclass(frozen=True)
class ContestCase:
    """A case that takes part.

    Args:
        label: what the user calls it.
        subject: its trained model, with the first of ``weights``.
        weights: one file for each seed, in the run's folder: the processes take them in turn.
    """

    id: str
    label: str
    subject: TrainedModel
    weights: tuple[str, ...]


@dataclass(frozen=True)
class Contest:
    """Cases of one device that are timed together.

    Args:
        folder: of the run, for samples.
        cores: CPU threads that may be busy at once, while warming up.
        limit: seconds that a single answer may take.
        checkpoint: keeps what was timed, should the contest be interrupted.
    """

    id: str
    title: str
    device: str
    cases: tuple[ContestCase, ...]
    settings: TimingSettings
    folder: Path
    cores: int
    limit: float
    checkpoint: Checkpoint
    group: str = ""


@dataclass(frozen=True)
class ContestResult:
    """What a contest gave.

    Args:
        met: names this contest; no other has the same name.
        measurements: latency and throughput of each case, by its id.
        comparisons: every pair of cases.
    """

    met: str
    measurements: Mapping[str, Sequence[Measurement]]
    comparisons: Sequence[Comparison]


def run_contest(contest: Contest, open_worker: OpenWorker, tell: Tell) -> ContestResult:
    """Latency and throughput of every case of one device, and how they compare.

    Args:
        tell: called with progress, and with ``out``, ``status`` and ``reason`` where a case fails.

    Raises:
        StoreError: the run's folder is gone.
    """
    entrants = [_Entrant(case, contest, open_worker, tell) for case in contest.cases]
    met, done = _resume(entrants, contest.checkpoint)
    settings = contest.settings
    try:
        while done < settings.processes and (
            done < LEAST_PROCESSES or not _precise(entrants, settings.precision)
        ):
            _compete(entrants, done, contest, tell)
            done += 1
            samples = {entrant.case.id: entrant.samples for entrant in entrants}
            failures = {e.case.id: e.failure for e in entrants if e.failure is not None}
            contest.checkpoint.keep(met, done, samples, failures)
    finally:
        for entrant in entrants:
            entrant.end()
    found = {e.case.id: _measurements(e, met) for e in entrants}
    timed = {e.case.id: e.samples for e in entrants if e.failure is None}
    rivals = {e.case.id: e.case.subject.data for e in entrants}
    compared = [replace(one, met=met) for one in compare_cases(timed, rivals)]
    return ContestResult(met, found, compared)


class _Entrant:
    """One case in the contest: its process of the moment, and all that was found so far."""

    def __init__(self, case: ContestCase, contest: Contest, open_worker: OpenWorker, tell: Tell):
        self.case, self.contest, self.tell = case, contest, tell
        self.open_worker = open_worker
        self.worker: _TimingWorker | None = None
        self.ready: list[Mapping[str, Any]] = []
        self.samples = Samples()
        self.failure: Dropout | None = None

    def enter(self, number: int, core: int | None) -> None:
        """Starts the process of this turn, and loads the case in it."""
        weights = self.case.weights[number % len(self.case.weights)]
        subject = replace(self.case.subject, weights=weights)
        payload = TimingPayload(subject, self.contest.settings, core)
        try:
            with interrupts_wait():
                conversation = self.open_worker(payload, log=f"logs/{self.case.id}-latency.log")
                self.worker = _TimingWorker(conversation, self.contest.limit)
        except WorkerError as error:
            raise Dropout(str(error), "crashed") from error
        loaded = self.worker.answer("loaded")["loaded"]
        self.samples.enter(loaded["cells"], loaded["cold"])

    def ask_to_warm_up(self) -> None:
        """Returns at once; :meth:`warmed_up` takes the answer."""
        assert self.worker is not None  # only entrants that entered are asked
        self.worker.request({"warm_up": self.contest.settings.warm_up})

    def warmed_up(self) -> None:
        """Waits until every cell is warm."""
        assert self.worker is not None
        self.ready = self.worker.answer("ready")["ready"]
        for cell, ready in enumerate(self.ready):
            self.samples.warmed_up(cell, ready)

    def block(self, cell: int, process: int, number: int) -> None:
        """Times one block."""
        assert self.worker is not None
        request = {"cell": cell, "calls": self.ready[cell]["calls"]}
        self.samples.add_block(cell, process, number, self.worker.ask(request, "ns")["ns"])

    def window(self, seconds: float) -> None:
        """Counts samples in a window of back-to-back calls, at the largest batch."""
        assert self.worker is not None
        cell = self.samples.largest_cell()
        if cell is not None:
            reply = self.worker.ask({"cell": cell, "window": seconds}, "samples", "seconds")
            self.samples.add_window(cell, reply["samples"], reply["seconds"])

    def end(self) -> None:
        """Ends its process."""
        if self.worker is not None:
            self.worker.kill()


class _TimingWorker:
    """A worker that is asked to time; silence, failure and death are :class:`.Dropout`."""

    def __init__(self, conversation: Conversation, patience: float):
        self._conversation, self._patience = conversation, patience

    def ask(self, request: Mapping[str, Any], *wanted: str) -> dict[str, Any]:
        self.request(request)
        return self.answer(*wanted)

    def request(self, request: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it is gone: the answer says how
            self._conversation.send(request)

    def answer(self, *wanted: str) -> dict[str, Any]:
        """The next reply, which has those parts."""
        try:
            message = self._conversation.receive(self._patience)
            done, reply = message.get("done"), message.get("reply", {})
            if done is None and not all(isinstance(reply.get(n), REPLIES[n]) for n in wanted):
                raise ValueError(CORRUPTED)
        except TimeoutError:
            raise Dropout(f"no answer within {self._patience:g} s", "timeout") from None
        except ValueError as error:
            raise Dropout(str(error), "crashed") from error
        except EOFError:
            raise Dropout(self._conversation.ending(), "crashed") from None
        if done is not None:
            raise Dropout(done["reason"], done["status"])
        answered: dict[str, Any] = reply
        return answered

    def kill(self) -> None:
        self._conversation.kill()


def _resume(entrants: Sequence[_Entrant], checkpoint: Checkpoint) -> tuple[str, int]:
    """Gives every case what it had when the contest was interrupted; which contest that is, and
    after how many processes it was.
    """
    met, done, samples, failures = checkpoint.read()
    for entrant in entrants:
        entrant.samples = samples.get(entrant.case.id, entrant.samples)
        entrant.failure = failures.get(entrant.case.id)
    return met, done


def _compete(entrants: Sequence[_Entrant], number: int, contest: Contest, tell: Tell) -> None:
    """One process of every case takes its turns."""
    settings = contest.settings
    tell({"say": f"process {number + 1} of {settings.processes}: warming up"})
    core = _some_core() if device_for(contest.device).pins_to_core else None
    for entrant in entrants:  # one after the other: cold figures are taken undisturbed
        _guarded(entrant, entrant.enter, number, core)
    _warm_up(entrants, contest)
    seconds = settings.budget / settings.processes
    tell({"step": number, "steps": settings.processes})
    _take_turns(entrants, number, (1 - WINDOW_SHARE) * seconds)
    for entrant in random.sample(entrants, len(entrants)):
        _guarded(entrant, entrant.window, WINDOW_SHARE * seconds)
    for entrant in entrants:
        entrant.end()


def _some_core() -> int | None:
    """Where all cases of one turn run, as far as they use one thread.

    Left to the system, one case may stay beside a busy program while another has a core to itself.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    return random.choice(sorted(os.sched_getaffinity(0)))


def _warm_up(entrants: Sequence[_Entrant], contest: Contest) -> None:
    """As many at once as there are cores."""
    at_once = max(1, contest.cores // max(contest.settings.threads))
    there = [entrant for entrant in entrants if entrant.failure is None]
    for first in range(0, len(there), at_once):
        group = there[first : first + at_once]
        for entrant in group:
            _guarded(entrant, entrant.ask_to_warm_up)
        for entrant in group:
            _guarded(entrant, entrant.warmed_up)


def _take_turns(entrants: Sequence[_Entrant], process: int, share: float) -> None:
    """Rounds until each case has had ``share`` seconds on average.

    Blocks of the same setting stand together, so that what is compared is close in time.
    """
    clock = time.monotonic()
    number = 0
    while True:
        turns = _turns(entrants)
        total = share * len({entrant.case.id for group in turns for entrant, _ in group})
        if not turns or (number >= LEAST_ROUNDS and time.monotonic() - clock >= total):
            return
        random.shuffle(turns)
        for group in turns:
            random.shuffle(group)
            for entrant, cell in group:
                _guarded(entrant, entrant.block, cell, process, number)
        number += 1


def _turns(entrants: Sequence[_Entrant]) -> list[list[tuple[_Entrant, int]]]:
    """Every cell of every case, those with the same settings together."""
    groups: dict[Any, list[tuple[_Entrant, int]]] = {}
    for entrant in entrants:
        if entrant.failure is None:
            for cell in entrant.samples.open_cells():
                groups.setdefault(entrant.samples.key(cell), []).append((entrant, cell))
    return list(groups.values())


def _precise(entrants: Sequence[_Entrant], precision: float) -> bool:
    return all(e.samples.precise(precision) for e in entrants if e.failure is None)


def _guarded(entrant: _Entrant, action: Callable[..., None], *arguments: Any) -> None:
    """A case that fails drops out of the contest; the others continue.

    Raises:
        StoreError: the run's folder is gone, which is why it failed.
    """
    if entrant.failure is not None:
        return
    try:
        action(*arguments)
    except Dropout as failure:
        if not entrant.contest.folder.is_dir():
            raise StoreError(f"{entrant.contest.folder} is gone") from failure
        entrant.failure = failure
        title = f"{entrant.case.label}, while it was timed"
        entrant.tell({"out": title, "status": failure.status, "reason": str(failure)})
        entrant.end()


def _measurements(entrant: _Entrant, met: str) -> list[Measurement]:
    """The measurements of one case. Samples that cannot be kept are no measurement."""
    name = f"samples/{entrant.case.id}.json.gz"
    try:
        if entrant.failure is not None:
            raise entrant.failure
        entrant.samples.keep(entrant.contest.folder / name, met)
        return list(entrant.samples.measurements(name, entrant.contest.settings.precision))
    except Dropout as failure:
        status, reason = failure.status, str(failure)
    except OSError as error:
        status, reason = "failed", f"cannot write the samples: {error.strerror}"
    return [Measurement("latency", "s", status=status, reason=reason, method=METHOD)]
