"""Cases and trials: what a run is made of, and the ids by which a resume recognizes them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from seqbench.plugins.choice import Choice
from seqbench.records import fingerprint

#: Version of the way seqbench trains and measures. Part of every case's identity: figures of two
#: protocols are never mixed.
PROTOCOL = 2


@dataclass(frozen=True)
class Metric:
    """A metric of a plugin as a suite chose it.

    Args:
        label: what tables call it.
        targets, higher_is_better, share: as its plugin says (:class:`seqbench.MetricSpec`).
    """

    label: str
    choice: Choice
    targets: tuple[str, ...]
    higher_is_better: bool
    share: bool

    @cached_property
    def id(self) -> str:
        """A hash of everything that can change a figure."""
        return f"{self.choice.name}-{fingerprint(dataclasses.asdict(self.choice))}"


@dataclass(frozen=True)
class Report:
    """A report of a plugin as a suite chose it."""

    label: str
    choice: Choice
    suffix: str

    @property
    def file(self) -> str:
        """Inside the run folder."""
        return f"reports/{re.sub(r'[^A-Za-z0-9_.-]+', '-', self.label)}.{self.suffix}"


@dataclass(frozen=True)
class Runtime:
    """A runtime of a plugin as a suite chose it; ``name`` is what its records call it."""

    name: str
    choice: Choice


@dataclass(frozen=True)
class Case:
    """One model with its parameters × one dataset × one training setting × one device."""

    label: str
    model: Choice
    dataset: Choice
    train: Mapping[str, Any]
    device: str
    reference: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    dataset_label: str = ""

    @property
    def name(self) -> str:
        """What to call it where it stands alone: ``lstm on adding length=50``."""
        return f"{self.label} on {self.dataset_label or self.dataset.name}"

    @cached_property
    def id(self) -> str:
        """The model's name and a hash of everything that can change a figure.

        Labels, reference and note are not part of it: they change what is said, not what is.
        """
        identity = {
            "protocol": PROTOCOL,
            "model": dataclasses.asdict(self.model),
            "dataset": dataclasses.asdict(self.dataset),
            "train": self.train,
            "device": self.device,
        }
        return f"{self.model.name}-{fingerprint(identity)}"


@dataclass(frozen=True)
class Trial:
    """One case with one seed: the unit that is run and that can fail."""

    case: Case
    seed: int

    @property
    def id(self) -> str:
        return f"{self.case.id}-s{self.seed}"
