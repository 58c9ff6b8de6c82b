"""Checkpoints of a contest: an interrupted one resumes with its next process."""

from __future__ import annotations

import contextlib
import secrets
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seqbench.measure.latency.figures import Samples
from seqbench.records import Status
from seqbench.store.files import read_compressed, write_compressed


class CaseFailure(Exception):
    """A case's process failed or stopped responding; the text is the reason."""

    def __init__(self, reason: str, status: Status = "failed"):
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Checkpoint:
    """The file with the samples of an unfinished contest.

    Args:
        path: None disables checkpoints.
        fingerprint: of everything that the figures depend on; a file with another one is ignored.
        retry_failed: whether to restart the contest if cases in it have failed.
    """

    path: Path | None = None
    fingerprint: str = ""
    retry_failed: bool = False

    def write(
        self,
        met: str,
        processes: int,
        samples: Mapping[str, Samples],
        failures: Mapping[str, CaseFailure],
    ) -> None:
        """Write the state of the contest after so many processes.

        Write errors are ignored: a resume then times the cases again.
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

    def read(self) -> tuple[str, int, dict[str, Samples], dict[str, CaseFailure]]:
        """Read what :meth:`write` wrote.

        Returns:
            the contest's name, the number of processes, and samples and failures by case. A new,
            empty contest if the file does not exist, is damaged, has another fingerprint, or is to
            be retried.
        """
        new = secrets.token_hex(4), 0, {}, {}  # type: ignore[var-annotated]
        if self.path is None or not self.path.exists():
            return new
        try:
            held = read_compressed(self.path)
            if held.get("fingerprint") == self.fingerprint:
                samples = {case: Samples(**one) for case, one in held["samples"].items()}
                failures = {case: CaseFailure(*one) for case, one in held["failures"].items()}
                if not (failures and self.retry_failed):
                    return str(held["met"]), int(held["processes"]), samples, failures
        except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
            what = f"{type(error).__name__}: {' '.join(str(error).split())}"
            warnings.warn(
                f"{self.path} is damaged ({what}): starting the contest again", stacklevel=2
            )
        return new
