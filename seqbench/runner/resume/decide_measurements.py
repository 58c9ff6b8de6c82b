"""Which measurements of an earlier attempt are kept, which are repeated, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqbench.executors.base import Activity, Job
from seqbench.measure.latency.contest import Contest
from seqbench.records import CaseRecord, MeasuredJob, Measurement, fingerprint
from seqbench.store.run_folder import RunFolder
from seqbench.workers.messages import payload_to_json


@dataclass(frozen=True)
class Missing:
    """A requested measurement that is not available.

    Args:
        why: why it is repeated; "" if no earlier attempt has made it.
    """

    activity: Activity
    why: str


def job_key(job: Activity) -> str:
    """The name of a job that is unique within its case: ``cost``, ``memory/training``."""
    return job.id.partition("/")[2]


def fingerprints_of(
    case: str,
    digests: Sequence[str],
    static: Iterable[Job],
    contests: Iterable[Contest],
) -> dict[str, str]:
    """Fingerprints of everything that the figures of a case depend on, by job or contest.

    Args:
        digests: SHA-256 of the case's weights, one per seed.
        static: the jobs that measure cost and memory.
    """
    found = {
        job_key(job): fingerprint([_identity(job), digests[0]])
        for job in static
        if job.group == case
    }
    for contest in contests:
        if any(rival.id == case for rival in contest.cases):
            found[contest.id] = fingerprint([contest.settings.identity(), list(digests)])
    return found


def _identity(job: Job) -> dict[str, Any]:
    """What the figures of a job depend on, beside the weights: without the files of its subject,
    and without what only tells one trial of an estimator from another.
    """
    payload = payload_to_json(job.payload)
    subject = payload.pop("subject", {})
    others = ("data", "weights", "answers", "refit")
    known = {key: value for key, value in subject.items() if key not in others}
    return {"id": job.group, **known, **payload}


@dataclass(frozen=True)
class _Part:
    """The measurements of one job or contest.

    Args:
        fingerprint: of everything that the figures depend on.
        met: the contest in which the case was timed; "" for jobs.
    """

    fingerprint: str
    met: str
    measurements: tuple[Measurement, ...]


class Ledger:
    """The measurements of one case so far, with their fingerprints; saved at every entry.

    Measurements of an earlier attempt count if they are requested and depend on the same weights
    and settings; failed ones do not count if failures are retried. Those that do not count stay
    until they are replaced.

    Args:
        before: the record of an earlier attempt.
        wanted: fingerprints of the requested measurements, by key.
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
            return "was measured with other seeds, weights or settings"
        if retry_failed and any(one.status != "ok" for one in part.measurements):
            return "failed"
        samples = {one.samples for one in part.measurements} - {""}
        sound = [self._folder.samples_are_sound(name, part.met) for name in sorted(samples)]
        return None if all(sound) else "has lost its samples"

    def why(self, key: str) -> str | None:
        """Why something has to be measured, as a text that follows the name of the case; "" for
        the first time, None if it is done.
        """
        return self._why[key]

    def met(self, key: str) -> str:
        """The contest in which a measurement was made."""
        return self._parts[key].met

    def enter(self, key: str, found: Sequence[Measurement], met: str = "") -> None:
        """Add the measurements of a job or contest."""
        self._parts[key] = _Part(self._wanted[key], met, tuple(found))
        self._why[key] = None
        self._write()

    def settle(self) -> None:
        """Drop measurements that are not requested; call this when all requested ones are done."""
        kept = {k: part for k, part in self._parts.items() if self._why.get(k, "") is None}
        if kept.keys() != self._parts.keys():
            self._parts = kept
            self._write()

    def _write(self) -> None:
        """Write the record, in the order of the request, whichever job ended first."""
        first = {key: self._parts[key] for key in self._wanted if key in self._parts}
        parts = {**first, **self._parts}
        jobs: list[MeasuredJob] = [
            {"key": key, "fingerprint": part.fingerprint, "met": part.met,
             "n": len(part.measurements)}
            for key, part in parts.items()
        ]  # fmt: skip
        measurements = [one for part in parts.values() for one in part.measurements]
        self._folder.write_case(CaseRecord(self._case, tuple(measurements), tuple(jobs)))
