"""Contests: the cases of one device, timed interleaved, so that noise affects all of them equally.

Every case is loaded and warmed up in its own process. Then, with nothing else running, the cases
are timed in short blocks, in a new random order every round. After a fraction of the time, new
processes replace these. Processes of one model differ, so only processes count as independent, and
only cases that were timed in the same rounds are compared.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from seqbench.devices.registry import device_for
from seqbench.errors import StoreError, WorkerError
from seqbench.measure.latency.checkpoint import CaseFailure, Checkpoint
from seqbench.measure.latency.comparisons import compare_cases
from seqbench.measure.latency.figures import METHOD, Samples
from seqbench.measure.latency.protocol import MIN_PROCESSES, MIN_ROUNDS
from seqbench.measure.payloads import TimingPayload, TimingSettings, TrainedModel
from seqbench.records import Comparison, Measurement
from seqbench.workers.channel import CORRUPTED
from seqbench.workers.conversation import Conversation
from seqbench.workers.process import interrupts_wait

Notify = Callable[[Mapping[str, Any]], None]

#: Prepares the datasets of cases again, given their ids.
PrepareAgain = Callable[[Collection[str]], None]

#: Types of the parts of a timing worker's replies (see :func:`.sampler.answer_requests`).
REPLIES: Mapping[str, type] = {
    "loaded": dict, "ready": list, "ns": list, "samples": int, "seconds": float
}  # fmt: skip


class _DataLost(CaseFailure):
    """The prepared dataset of a case has disappeared."""


class OpenWorker(Protocol):
    """Starts a timing worker; raises WorkerError if it cannot be started."""

    def __call__(self, payload: TimingPayload, *, log: str) -> Conversation: ...


@dataclass(frozen=True)
class ContestCase:
    """A case in a contest.

    Args:
        label: its name in tables and messages.
        subjects: its trained models, one for each seed; used by the processes in turn.
    """

    id: str
    label: str
    subjects: tuple[TrainedModel, ...]


@dataclass(frozen=True)
class Contest:
    """Cases of one device that are timed together.

    Args:
        folder: the run's folder, for samples.
        cores: maximum number of busy CPU threads during warm-up.
        limit: seconds after which an unanswered request is a timeout.
        checkpoint: for resuming the contest after an interruption.
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

    @property
    def kind(self) -> str:
        """Distinguishes its files from those of the other contest of the same cases."""
        return "training" if self.settings.training_step else "latency"


@dataclass(frozen=True)
class ContestResult:
    """The result of a contest.

    Args:
        met: the contest's unique name.
        measurements: latency and throughput by case id.
        comparisons: of every pair of cases.
    """

    met: str
    measurements: Mapping[str, Sequence[Measurement]]
    comparisons: Sequence[Comparison]


def run_contest(
    contest: Contest,
    open_worker: OpenWorker,
    notify: Notify,
    *,
    prepare_again: PrepareAgain = lambda cases: None,
) -> ContestResult:
    """Measure latency and throughput of every case, and compare the cases.

    Args:
        notify: called with progress, and with ``out``, ``status`` and ``reason`` if a case fails.
        prepare_again: called if the dataset of cases has disappeared from the cache.

    Raises:
        StoreError: the run's folder was deleted.
    """
    entrants = [
        _Entrant(case, contest, open_worker, notify, prepare_again) for case in contest.cases
    ]
    met, done = _resume(entrants, contest.checkpoint)
    settings = contest.settings
    try:
        half_width = _half_width(entrants)
        while done < settings.processes and (
            done < MIN_PROCESSES or half_width > settings.precision
        ):
            _compete(entrants, done, contest, notify)
            done += 1
            half_width = _half_width(entrants)
            notify({"half_width": half_width, "processes": done})
            samples = {entrant.case.id: entrant.samples for entrant in entrants}
            failures = {e.case.id: e.failure for e in entrants if e.failure is not None}
            contest.checkpoint.write(met, done, samples, failures)
    finally:
        for entrant in entrants:
            entrant.end()
    measurements = {e.case.id: _measurements(e, met) for e in entrants}
    timed = {e.case.id: e.samples for e in entrants if e.failure is None}
    rivals = {e.case.id: e.case.subjects[0].data for e in entrants}
    comparisons = [replace(one, met=met) for one in compare_cases(timed, rivals)]
    return ContestResult(met, measurements, comparisons)


class _Entrant:
    """One case in the contest: its current process, and all samples so far."""

    def __init__(
        self,
        case: ContestCase,
        contest: Contest,
        open_worker: OpenWorker,
        notify: Notify,
        prepare_again: PrepareAgain,
    ):
        self.case, self.contest, self.notify = case, contest, notify
        self.open_worker, self.prepare_again = open_worker, prepare_again
        self.met = ""
        self.worker: _TimingWorker | None = None
        self.ready: list[Mapping[str, Any]] = []
        self.samples = Samples()
        self.failure: CaseFailure | None = None

    def enter(self, number: int, place: float | None) -> None:
        """Start the next process and load the case in it."""
        subject = self.case.subjects[number % len(self.case.subjects)]
        compiled = f"compiled-{self.met}/{self.case.id}"
        payload = TimingPayload(subject, self.contest.settings, place, compiled)
        try:
            loaded = self._load(payload)
        except _DataLost:
            self.end()
            self.prepare_again([self.case.id])
            loaded = self._load(payload)
        self.samples.add_process(loaded["cells"], loaded["cold"])

    def _load(self, payload: TimingPayload) -> dict[str, Any]:
        """Start a worker and load the case in it; returns the cells and the cold figures."""
        log = f"logs/{self.case.id}-{self.contest.kind}.log"
        try:
            with interrupts_wait():
                conversation = self.open_worker(payload, log=log)
                self.worker = _TimingWorker(conversation, self.contest.limit)
        except WorkerError as error:
            raise CaseFailure(str(error), "crashed") from error
        loaded: dict[str, Any] = self.worker.answer("loaded")["loaded"]
        return loaded

    def request_warm_up(self) -> None:
        """Request the warm-up without waiting; :meth:`await_warm_up` receives the reply."""
        assert self.worker is not None  # every entrant without a failure has a worker
        self.worker.request({"warm_up": self.contest.settings.warm_up})

    def await_warm_up(self) -> None:
        """Wait until every cell is warm."""
        assert self.worker is not None
        self.ready = self.worker.answer("ready")["ready"]
        for cell, ready in enumerate(self.ready):
            self.samples.warmed_up(cell, ready)

    def block(self, cell: int, process: int, number: int) -> None:
        """Time one block."""
        assert self.worker is not None
        request = {"cell": cell, "calls": self.ready[cell]["calls"]}
        self.samples.add_block(cell, process, number, self.worker.ask(request, "ns")["ns"])

    def window(self, seconds: float) -> None:
        """Measure throughput at the largest batch size, in one window for each cell."""
        assert self.worker is not None
        cells = self.samples.window_cells()
        for cell in cells:
            request = {"cell": cell, "window": seconds / len(cells)}
            reply = self.worker.ask(request, "samples", "seconds")
            self.samples.add_window(cell, reply["samples"], reply["seconds"])

    def end(self) -> None:
        """End its process."""
        if self.worker is not None:
            self.worker.kill()


class _TimingWorker:
    """A conversation with a timing worker; a timeout, failure or crash raises CaseFailure."""

    def __init__(self, conversation: Conversation, patience: float):
        self._conversation, self._patience = conversation, patience

    def ask(self, request: Mapping[str, Any], *wanted: str) -> dict[str, Any]:
        self.request(request)
        return self.answer(*wanted)

    def request(self, request: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it has ended; answer() reports how
            self._conversation.send(request)

    def answer(self, *wanted: str) -> dict[str, Any]:
        """Receive the next reply, which must have the parts ``wanted``."""
        try:
            message = self._conversation.receive(self._patience)
            done, reply = message.get("done"), message.get("reply", {})
            if done is None and not all(isinstance(reply.get(n), REPLIES[n]) for n in wanted):
                raise ValueError(CORRUPTED)
        except TimeoutError:
            raise CaseFailure(f"no answer within {self._patience:g} s", "timeout") from None
        except ValueError as error:
            raise CaseFailure(str(error), "crashed") from error
        except EOFError:
            raise CaseFailure(self._conversation.ending(), "crashed") from None
        if done is not None:
            lost = (done["result"] or {}).get("not_prepared")
            raise (_DataLost if lost else CaseFailure)(done["reason"], done["status"])
        answered: dict[str, Any] = reply
        return answered

    def kill(self) -> None:
        self._conversation.kill()


def _resume(entrants: Sequence[_Entrant], checkpoint: Checkpoint) -> tuple[str, int]:
    """Restore every case from the checkpoint.

    Returns:
        the contest's name, and the number of processes already timed.
    """
    met, done, samples, failures = checkpoint.read()
    for entrant in entrants:
        entrant.met = met
        entrant.samples = samples.get(entrant.case.id, entrant.samples)
        entrant.failure = failures.get(entrant.case.id)
    return met, done


def _compete(entrants: Sequence[_Entrant], number: int, contest: Contest, notify: Notify) -> None:
    """Time one process of every case, interleaved."""
    settings = contest.settings
    notify({"say": f"process {number + 1} of {settings.processes}: warming up"})
    # All single-threaded cells of a round share one core, at random. If the system chose, one case
    # might share a core with a busy program while another has a core to itself.
    place = random.random() if device_for(contest.device).pins_to_core else None
    for entrant in entrants:  # one at a time, so that cold figures are undisturbed
        _guarded(entrant, entrant.enter, number, place)
    _warm_up(entrants, contest)
    seconds = settings.budget / settings.processes
    notify({"step": number, "steps": settings.processes})
    _time_rounds(entrants, number, (1 - settings.window_fraction) * seconds)
    for entrant in random.sample(entrants, len(entrants)):
        _guarded(entrant, entrant.window, settings.window_fraction * seconds)
    for entrant in entrants:
        entrant.end()


def _warm_up(entrants: Sequence[_Entrant], contest: Contest) -> None:
    """Warm up as many cases at a time as there are cores; on a device that cases do not share by
    cores, one at a time.
    """
    at_once = 1
    if device_for(contest.device).shares_cores:
        at_once = max(1, contest.cores // max(contest.settings.threads))
    open_entrants = [entrant for entrant in entrants if entrant.failure is None]
    for first in range(0, len(open_entrants), at_once):
        group = open_entrants[first : first + at_once]
        for entrant in group:
            _guarded(entrant, entrant.request_warm_up)
        for entrant in group:
            _guarded(entrant, entrant.await_warm_up)


def _time_rounds(entrants: Sequence[_Entrant], process: int, seconds: float) -> None:
    """Time rounds until each case has had ``seconds`` on average.

    Blocks with the same setting are adjacent, so that compared blocks are close in time.
    """
    clock = time.monotonic()
    number = 0
    while True:
        groups = _cells_by_setting(entrants)
        total = seconds * len({entrant.case.id for group in groups for entrant, _ in group})
        if not groups or (number >= MIN_ROUNDS and time.monotonic() - clock >= total):
            return
        random.shuffle(groups)
        for group in groups:
            random.shuffle(group)
            for entrant, cell in group:
                _guarded(entrant, entrant.block, cell, process, number)
        number += 1


def _cells_by_setting(entrants: Sequence[_Entrant]) -> list[list[tuple[_Entrant, int]]]:
    """All open cells of all cases, grouped by their settings."""
    groups: dict[Any, list[tuple[_Entrant, int]]] = {}
    for entrant in entrants:
        if entrant.failure is None:
            for cell in entrant.samples.open_cells():
                groups.setdefault(entrant.samples.key(cell), []).append((entrant, cell))
    return list(groups.values())


def _half_width(entrants: Sequence[_Entrant]) -> float:
    """The widest of all cases' intervals, which decides whether the contest ends early."""
    return max((e.samples.half_width() for e in entrants if e.failure is None), default=0.0)


def _guarded(entrant: _Entrant, action: Callable[..., None], *arguments: Any) -> None:
    """Run ``action``; if it fails, the case leaves the contest and the others continue.

    Raises:
        StoreError: it failed because the run's folder was deleted.
    """
    if entrant.failure is not None:
        return
    try:
        action(*arguments)
    except CaseFailure as failure:
        if not entrant.contest.folder.is_dir():
            raise StoreError(f"{entrant.contest.folder} was deleted during the run") from failure
        entrant.failure = failure
        title = f"{entrant.case.label}, while being timed"
        entrant.notify({"out": title, "status": failure.status, "reason": str(failure)})
        entrant.end()


def _measurements(entrant: _Entrant, met: str) -> list[Measurement]:
    """The measurements of one case; failed if its samples cannot be written."""
    training = entrant.contest.settings.training_step
    quantity, ending = ("training_step", "-training") if training else ("latency", "")
    name = f"samples/{entrant.case.id}{ending}.json.gz"
    try:
        if entrant.failure is not None:
            raise entrant.failure
        entrant.samples.write(entrant.contest.folder / name, met)
        return list(entrant.samples.measurements(name, entrant.contest.settings.precision))
    except CaseFailure as failure:
        status, reason = failure.status, str(failure)
    except OSError as error:
        status, reason = "failed", f"cannot write the samples: {error.strerror}"
    return [Measurement(quantity, "s", status=status, reason=reason, method=METHOD)]
