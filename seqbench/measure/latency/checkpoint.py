"""A contest that was interrupted goes on with its next process: what has been timed is kept."""

from __future__ import annotations

import contextlib
import secrets
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seqbench.measure.latency.samples import Samples
from seqbench.records import Status
from seqbench.store.files import read_compressed, write_compressed


class Dropout(Exception):
    """A case's process did not answer as it should; the text says why."""

    def __init__(self, reason: str, status: Status = "failed"):
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Checkpoint:
    """The file that holds what came of a contest so far.

    Args:
        path: None keeps nothing.
        fingerprint: of all that its figures rest on; what rests on something else is no part of it.
        retry_failed: whether cases that have failed are to have another chance.
    """

    path: Path | None = None
    fingerprint: str = ""
    retry_failed: bool = False

    def keep(
        self,
        met: str,
        processes: int,
        samples: Mapping[str, Samples],
        failures: Mapping[str, Dropout],
    ) -> None:
        """Writes what all cases have after so many processes. What cannot be written is measured
        again, should it come to that.
        """
        held = {
            "fingerprint": self.fingerprint,
            "met": met,
            "processes": processes,
            "samples": {case: vars(one) for case, one in samples.items()},
            "failures": {case: [str(one), one.status] for case, one in failures.items()},
        }
        with contextlib.suppress(OSError):
            if self.path is not None:
                write_compressed(self.path, held)

    def read(self) -> tuple[str, int, dict[str, Samples], dict[str, Dropout]]:
        """What :meth:`keep` wrote: which contest, how many processes, and of each case its samples,
        or its failure. A new contest where that is not there, damaged, of other cases, or to be
        tried again.
        """
        new = secrets.token_hex(4), 0, {}, {}  # type: ignore[var-annotated]
        if self.path is None or not self.path.exists():
            return new
        try:
            held = read_compressed(self.path)
            if held.get("fingerprint") == self.fingerprint:
                samples = {case: Samples(**one) for case, one in held["samples"].items()}
                failures = {case: Dropout(*one) for case, one in held["failures"].items()}
                if not (failures and self.retry_failed):
                    return str(held["met"]), int(held["processes"]), samples, failures
        except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
            what = f"{type(error).__name__}: {' '.join(str(error).split())}"
            warnings.warn(
                f"{self.path} is damaged ({what}): what has been timed is timed again", stacklevel=2
            )
        return new
