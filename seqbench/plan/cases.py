"""Cases and trials, with the ids by which a resume recognizes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

from seqbench.plugins.choice import Choice, to_json
from seqbench.records import fingerprint

#: Version of the way seqbench trains and measures. Part of every case's id, so that figures of
#: different protocols are never mixed.
PROTOCOL = 3


@dataclass(frozen=True)
class Metric:
    """A metric of a plugin as a suite uses it.

    Args:
        label: its name in tables.
        targets, higher_is_better, share: as declared (:class:`seqbench.MetricSpec`).
    """

    label: str
    choice: Choice
    targets: tuple[str, ...]
    higher_is_better: bool
    share: bool

    @cached_property
    def id(self) -> str:
        """The metric's name and a hash of everything that can change its figures."""
        return f"{self.choice.name}-{fingerprint(to_json(self.choice))}"


@dataclass(frozen=True)
class Report:
    """A report of a plugin as a suite uses it."""

    label: str
    choice: Choice
    suffix: str

    @property
    def file(self) -> str:
        """Path inside the run folder."""
        return f"reports/{re.sub(r'[^A-Za-z0-9_.-]+', '-', self.label)}.{self.suffix}"


@dataclass(frozen=True)
class Runtime:
    """A runtime of a plugin as a suite uses it; ``name`` is its name in records."""

    name: str
    choice: Choice


@dataclass(frozen=True)
class Case:
    """One model with its parameters × one dataset × one training setting × one device."""

    label: str
    model: Choice
    dataset: Choice
    train: Mapping[str, Any]
    _: KW_ONLY
    device: str
    reference: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    dataset_label: str = ""

    @property
    def name(self) -> str:
        """The full name, used outside of tables: ``lstm on adding length=50``."""
        return f"{self.label} on {self.dataset_label or self.dataset.name}"

    @cached_property
    def id(self) -> str:
        """The model's name and a hash of everything that can change a figure.

        Labels, reference and note are not part of it, since they only change what is shown.
        """
        identity = {
            "protocol": PROTOCOL,
            "model": to_json(self.model),
            "dataset": to_json(self.dataset),
            "train": self.train,
            "device": self.device,
        }
        return f"{self.model.name}-{fingerprint(identity)}"


@dataclass(frozen=True)
class Trial:
    """One training of a case with one seed."""

    case: Case
    seed: int

    @property
    def id(self) -> str:
        return f"{self.case.id}-s{self.seed}"
