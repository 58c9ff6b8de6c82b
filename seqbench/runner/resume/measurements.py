"""Which measurements of an earlier attempt are kept, which are made again, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from seqbench.executors.base import Activity, Job
from seqbench.measure.latency.contest import Contest
from seqbench.records import CaseRecord, MeasuredJob, Measurement, fingerprint
from seqbench.store.run_folder import RunFolder
from seqbench.workers.messages import payload_to_json


@dataclass(frozen=True)
class Missing:
    """A measurement that is to be made.

    Args:
        why: why it is made again; "" if no earlier attempt has made it.
    """

    activity: Activity
    why: str


def job_key(job: Job) -> str:
    """What a job about one case is called among those of the same case."""
    return job.id.partition("/")[2]


def fingerprints_of(
    case: str,
    digests: Sequence[str],
    static: Iterable[Job],
    contests: Iterable[Contest],
) -> dict[str, str]:
    """Fingerprints of all that the figures of a case depend on, by what they come from.

    Args:
        digests: of the case's weights, one for each seed.
        static: the jobs that measure cost and memory.
    """
    found = {
        job_key(job): fingerprint([payload_to_json(job.payload), digests[0]])
        for job in static
        if job.group == case
    }
    for contest in contests:
        if any(rival.id == case for rival in contest.cases):
            found[contest.id] = fingerprint([contest.settings.identity(), list(digests)])
    return found


@dataclass(frozen=True)
class _Part:
    """What one job or contest gave.

    Args:
        fingerprint: of all that the figures depend on.
        met: the contest in which they were timed; "" for others.
    """

    fingerprint: str
    met: str
    measurements: tuple[Measurement, ...]


class Ledger:
    """What was measured of one case so far, and from what; written down at every entry.

    Measurements of an earlier attempt count as far as they are asked for and depend on the same
    weights and settings; failed ones do not, if failures are retried. Those that do not count stay
    until others take their place.

    Args:
        before: what an earlier attempt has left.
        wanted: fingerprints of what is asked for, by its key.
    """

    def __init__(
        self,
        folder: RunFolder,
        before: CaseRecord,
        wanted: Mapping[str, str],
        *,
        retry_failed: bool,
    ):
        self._folder, self._case, self._wanted = folder, before.case, wanted
        self._parts: dict[str, _Part] = {}
        #: None: done. "": never measured. Otherwise why it is measured again.
        self._why: dict[str, str | None] = dict.fromkeys(wanted, "")
        start = 0
        for job in before.jobs:
            key, found = job["key"], before.measurements[start : start + job["n"]]
            start += job["n"]
            self._parts[key] = _Part(job["fingerprint"], job.get("met", ""), found)
            if key in wanted:
                self._why[key] = self._why_again(key, retry_failed)

    def _why_again(self, key: str, retry_failed: bool) -> str | None:
        part = self._parts[key]
        if part.fingerprint != self._wanted[key]:
            return "has other weights or settings now"
        if retry_failed and any(one.status != "ok" for one in part.measurements):
            return "failed"
        samples = {one.samples for one in part.measurements} - {""}
        sound = [self._folder.samples_are_sound(name, part.met) for name in sorted(samples)]
        return None if all(sound) else "has lost its samples"

    def why(self, key: str) -> str | None:
        """Why something is to be measured, in words that follow the name of the case; "" if it
        never was, None if it is done.
        """
        return self._why[key]

    def met(self, key: str) -> str:
        """The contest that a measurement is from."""
        return self._parts[key].met

    def enter(self, key: str, found: Sequence[Measurement], met: str = "") -> None:
        """Adds what a job or contest gave."""
        self._parts[key] = _Part(self._wanted[key], met, tuple(found))
        self._why[key] = None
        self._write()

    def settle(self) -> None:
        """All that is asked for is done: what else there is goes."""
        kept = {k: part for k, part in self._parts.items() if self._why.get(k, "") is None}
        if kept.keys() != self._parts.keys():
            self._parts = kept
            self._write()

    def _write(self) -> None:
        """In the order of what is asked for, whichever ended first."""
        first = {key: self._parts[key] for key in self._wanted if key in self._parts}
        parts = {**first, **self._parts}
        jobs: list[MeasuredJob] = [
            {"key": key, "fingerprint": part.fingerprint, "met": part.met,
             "n": len(part.measurements)}
            for key, part in parts.items()
        ]  # fmt: skip
        measurements = [one for part in parts.values() for one in part.measurements]
        self._folder.write_case(CaseRecord(self._case, tuple(measurements), tuple(jobs)))
