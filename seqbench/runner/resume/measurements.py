"""Which measurements of an earlier attempt are kept, which are made again, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqbench.executors.base import Job
from seqbench.records import CaseRecord, Measurement, fingerprint
from seqbench.runner.context import RunContext

#: Why a measurement is to be made that no attempt at the run has made yet.
NEW = "is not measured yet"


@dataclass(frozen=True)
class Missing:
    """A measurement that is to be made, and why, where an earlier attempt at the run has been here:
    ``""`` if it has not.
    """

    job: Job
    why: str


def job_key(job: Job) -> str:
    """What a job about one case is called among those of the same case."""
    return job.id.partition("/")[2]


def fingerprints_of(
    case: str, digests: Mapping[str, Sequence[str]], static: Iterable[Job], contests: Iterable[Job]
) -> dict[str, str]:
    """Fingerprints of all that the figures of a case depend on, by the job that they come from."""
    found = {
        job_key(job): fingerprint([_portable(job.payload), digests[case][0]])
        for job in static
        if job.group == case
    }
    for job in contests:
        if any(rival["id"] == case for rival in job.payload["cases"]):
            found[job.id] = fingerprint([job.payload["settings"], digests[case]])
    return found


def _portable(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A payload without what changes no figure: names, and paths of where the run's folder is."""
    left_out = ("weights", "data", "label")
    return {key: value for key, value in payload.items() if key not in left_out}


@dataclass(frozen=True)
class _Part:
    """What came of one job: the fingerprint of what it rests on, the contest in which its figures
    met those of others (``""`` where it is none), and the measurements.
    """

    fingerprint: str
    met: str
    measurements: tuple[Measurement, ...]


class Ledger:
    """What was measured of one case so far, and from what; written down at every entry.

    What an earlier attempt at the run has left is done as far as it is asked for and rests on the
    same; what did not end well is not, where it is to be tried again. What is not done stands until
    something else takes its place.

    Args:
        prints: the jobs that are asked for, each with the fingerprint of what it rests on.
    """

    def __init__(self, work: RunContext, case: str, prints: Mapping[str, str]):
        self._folder, self._case, self._prints = work.folder, case, prints
        self._parts: dict[str, _Part] = {}
        self._why = dict.fromkeys(prints, NEW)
        before = work.measured.get(case, CaseRecord(case))
        start = 0
        for job in before.jobs:
            key, found = job["key"], before.measurements[start : start + job["n"]]
            start += job["n"]
            self._parts[key] = _Part(job["fingerprint"], job.get("met", ""), found)
            if key in prints:
                self._why[key] = self._why_again(key, work.retry_failed)

    def _why_again(self, key: str, retry_failed: bool) -> str:
        part = self._parts[key]
        if part.fingerprint != self._prints[key]:
            return "is of other weights or settings now"
        if retry_failed and any(one.status != "ok" for one in part.measurements):
            return "did not end well"
        samples = {one.samples for one in part.measurements} - {""}
        sound = [self._folder.samples_are_sound(name, part.met) for name in sorted(samples)]
        if not all(sound):
            return "has lost its samples"
        return ""

    def why(self, key: str) -> str:
        """Why that job is to be done, in words that follow the name of the case; ``""`` if it is
        done.
        """
        return self._why[key]

    def met(self, key: str) -> str:
        """Which contest it was."""
        return self._parts[key].met

    def enter(self, key: str, found: Sequence[Measurement], met: str = "") -> None:
        """Adds what came of a job."""
        self._parts[key] = _Part(self._prints[key], met, tuple(found))
        self._why[key] = ""
        self._write()

    def settle(self) -> None:
        """All is done that is asked for: what else there is goes."""
        kept = {key: part for key, part in self._parts.items() if self._why.get(key) == ""}
        if kept.keys() != self._parts.keys():
            self._parts = kept
            self._write()

    def _write(self) -> None:
        """In the order of the jobs, whichever ended first."""
        wanted = {key: self._parts[key] for key in self._prints if key in self._parts}
        parts = {**wanted, **self._parts}
        jobs = [
            {"key": key, "fingerprint": part.fingerprint, "met": part.met,
             "n": len(part.measurements)}
            for key, part in parts.items()
        ]  # fmt: skip
        measurements = [one for part in parts.values() for one in part.measurements]
        self._folder.write_case(CaseRecord(self._case, tuple(measurements), tuple(jobs)))
