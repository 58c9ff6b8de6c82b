"""Measured speeds of cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seqbench.records import fingerprint
from seqbench.runner.forecast.work import LOAD_SECONDS


@dataclass(frozen=True)
class CaseSpeed:
    """How fast the trials and measurements of a case are.

    Args:
        epoch: seconds of a period of its training, usually an epoch, with validation.
        outside: seconds of a trial outside its periods: starting its worker, the test.
        load: seconds for starting a worker and loading the case in it.
        processes: number of processes that its timing took, with the same settings, by the kind
            of the contest (:class:`seqbench.measure.latency.contest.Contest`), as far as known.
        step: seconds of a training step, about; 0 if unknown.
    """

    epoch: float
    outside: float
    load: float = LOAD_SECONDS
    processes: Mapping[str, int] = field(default_factory=dict)
    step: float = 0.0

    def trial(self, periods: int) -> float:
        """Seconds of a trial."""
        return self.outside + periods * self.epoch


def speed_key(case: Mapping[str, Any]) -> str:
    """What the speed of a case depends on, as a fingerprint: unlike its id without the number of
    epochs, and without the versions of packages, which change it seldom.

    Args:
        case: as in ``plan.json``.
    """
    chosen = [
        {name: case[kind].get(name) for name in ("name", "params", "distribution")}
        for kind in ("model", "dataset")
    ]
    train = {name: value for name, value in case["train"].items() if name != "epochs"}
    return fingerprint([*chosen, train, case["device"]])
