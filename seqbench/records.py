"""Cases, trials and what was found out about them: plain data that is written as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

#: Version of the record format; its history stands in docs/results.md.
FORMAT = 1

Status = Literal["ok", "diverged", "failed", "timeout", "out_of_memory", "crashed", "skipped"]

STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class TrialRecord:
    """What became of one trial.

    Args:
        id, case, seed: the trial, the id of its case, its seed.
        status, reason: how it ended, and why in one line if not ``ok``.
        metric: ``accuracy`` (share of 1) or ``mse``, as the dataset's task says.
        metrics: ``value`` (the figure that the tables show: at the best epoch by validation, or at
            the last where there is no validation split), ``last`` and ``best`` (test figures at
            those weights), ``best_epoch``, ``validation`` (at the best epoch), ``train_loss``,
            ``steps``; for labels also ``confusion`` (test counts at the weights of ``value``,
            ``[true][predicted]``), ``recall`` of each class and ``classes``; for a diverged trial
            ``diverged_step``.
        curve: one entry per epoch: ``epoch``, ``train_loss``, ``validation``, ``seconds``,
            ``steps`` (made by its end).
        started: UTC time, ISO 8601. seconds: wall time, under whatever load there was.
        weights, log: files inside the run folder. weights_sha256: of the weights' bytes.
        weights_stamp: size in bytes and time of the last change (ns) of the file that has it.
        lines: the last of its log, if it did not end well.
        source: fingerprint of the model's source as it was trained (see :class:`Choice`).
        version: of the model's distribution as it was trained.
        scores: of each metric that the suite asked for beside ``metric``, by its id
            (:class:`Metric`): ``status``, ``value`` and ``reason``.
        attempts: those before, that were lost or did not end well: ``status``, ``reason``,
            ``seconds``.
    """

    id: str
    case: str
    seed: int
    status: Status
    reason: str = ""
    metric: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[Mapping[str, Any], ...] = ()
    started: str = ""
    seconds: float = 0.0
    weights: str = ""
    weights_sha256: str = ""
    weights_stamp: tuple[int, ...] = ()
    log: str = ""
    lines: tuple[str, ...] = ()
    attempts: tuple[Mapping[str, Any], ...] = ()
    source: str = ""
    version: str = ""
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True)
class Measurement:
    """One quantity of one case.

    Args:
        quantity: the name of one of :data:`.quantities.QUANTITIES`.
        unit: SI: ``s``, ``1/s``, ``B``, ``1``.
        settings: what it was measured at (``batch_size``, ``threads``, ``mode``, …).
        values: the figures, derived from the samples where there are any.
        samples: file inside the run folder with every raw sample.
        method: how it was measured, in a few words.
    """

    quantity: str
    unit: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    status: Status = "ok"
    reason: str = ""
    samples: str = ""
    method: str = ""


Verdict = Literal["better", "worse", "no difference", "too few seeds"]


@dataclass(frozen=True)
class Comparison:
    """Two cases held against each other in one quantity.

    Args:
        quantity, settings: as of the :class:`Measurement`; of seeds, the name of the metric.
        a, b: ids of the two cases.
        scale: ``"ratio"``: ``effect`` is a ÷ b; ``"difference"``: it is a - b.
        effect, low, high: the estimate and its own 95 % interval (None where there is none).
        p: two-sided; corrected for the number of pairs (Holm).
        verdict: what ``a`` is, held against ``b``.
        n: how many independent pairs it rests on (processes, seeds).
        needed: seeds that would probably tell, where that is known.
        met: the contest in which their processes took turns.
    """

    quantity: str
    a: str
    b: str
    scale: Literal["ratio", "difference"]
    effect: float
    low: float | None
    high: float | None
    p: float
    verdict: Verdict
    n: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    needed: int | None = None
    met: str = ""


@dataclass(frozen=True)
class CaseRecord:
    """What was measured of one case's trained model.

    Args:
        jobs: what the measurements come from, in their order: ``key`` and ``fingerprint`` (of all
            that the figures depend on) of each job, how many of them are its, ``n``, and the
            contest in which they were timed, ``met`` (``""`` for others).
    """

    case: str
    measurements: tuple[Measurement, ...] = ()
    jobs: tuple[Mapping[str, Any], ...] = ()
    format: int = FORMAT


def fingerprint(value: Any) -> str:
    """Ten hexadecimal digits that are the same for equal plain data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def worst(statuses: list[Status]) -> Status:
    """``ok`` if all are; else the one that is not ok and comes first in ``STATUSES``."""
    bad = [status for status in STATUSES[1:] if status in statuses]
    return bad[0] if bad else "ok"
