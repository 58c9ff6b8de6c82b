"""What a suite consists of: its keys, their types and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    WithJsonSchema,
    model_validator,
)

from seqbench.suite.optimizers import OPTIMIZERS, SCHEDULES, Method, resolved
from seqbench.suite.strict_yaml import described
from seqbench.suite.values import (
    Devices,
    Duration,
    Line,
    MethodField,
    Number,
    Positive,
    Runtimes,
    Seeds,
    Share,
    Size,
    Sizes,
    TargetField,
    Threads,
    distinct,
    folder_name,
    refuse,
)

MAX_ENTRIES = 1_000


class Keys(BaseModel):
    """A mapping with fixed keys: strict types, nothing unknown, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Training(Keys):
    """How a model is trained."""

    epochs: int = Field(default=5, ge=1, le=100_000, description="passes over the training data")
    batch_size: Positive = Field(default=100, description="sequences per step")
    optimizer: MethodField = Field(
        default_factory=lambda: Method("adam"), description="a torch optimizer"
    )
    schedule: MethodField | None = Field(
        default=None, description="what becomes of the learning rate"
    )
    clip_norm: Number | None = Field(
        default=None, gt=0, description="greatest norm of the gradient"
    )
    threads: int = Field(default=1, ge=1, le=1024, description="CPU threads of one training")
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="of the forward and backward pass; bf16 by torch.autocast"
    )

    def over(self, base: Training) -> Training:
        """``base`` with what this one says explicitly; another optimizer or schedule is whole."""
        said = {key: getattr(self, key) for key in self.model_fields_set}
        for key in ("optimizer", "schedule"):
            if said.get(key) is not None:
                said[key] = said[key].over(getattr(base, key))
        return base.model_copy(update=said)

    def resolved(self) -> dict[str, Any]:
        """All settings as plain data, every default of optimizer and schedule filled in.

        The usual precision is not said, so that a case has the name that it had before there was
        another.
        """
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "optimizer": resolved(self.optimizer, OPTIMIZERS),
            "schedule": resolved(self.schedule, SCHEDULES) if self.schedule else None,
            "clip_norm": self.clip_norm,
            "threads": self.threads,
            **({"precision": self.precision} if self.precision != "fp32" else {}),
        }


class Accuracy(Keys):
    """Accuracy, or for numbers the mean squared error; it has no settings."""


class Latency(Keys):
    """Time of a forward pass."""

    budget: Duration = Field(default=10.0, description="time for each case")
    batch_sizes: Sizes = Field(default=(1, 64), min_length=1, description="sequences per call")
    seq_lens: Sizes = Field(
        default=(), description="lengths that sequences are cut or repeated to; none: the dataset's"
    )
    threads: Threads = Field(default=(1,), description="CPU threads; `all` is all cores")
    runtimes: Runtimes = Field(default=("eager",), description="eager, compile, or a plugin's")
    processes: int = Field(default=10, ge=2, le=60, description="processes for each case")
    warm_up: Duration = Field(default=0.5, description="least time of warming up each process")
    precision: Share = Field(default=0.02, description="half-width of the interval that is enough")


class Memory(Keys):
    """Peak memory of inference and of a training step."""

    batch_size: Positive = Field(default=64, description="sequences per call")


class Measure(Keys):
    """What is measured; accuracy always is."""

    accuracy: Accuracy = Field(default_factory=Accuracy)
    latency: Latency | None = None
    memory: Memory | None = None

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        """A list of names, and names without settings, ask for the defaults."""
        if isinstance(value, list):
            wrong = [item for item in value if not isinstance(item, str)]
            if wrong:
                hint = "with settings, write measure as a mapping"
                refuse(f"must list names, not {described(wrong[0])}", hint)
            distinct(tuple(value))
            value = dict.fromkeys(value)
        if not isinstance(value, dict):
            return value
        if not value:
            refuse("must name at least one of accuracy, latency, memory")
        return {name: {} if settings is None else settings for name, settings in value.items()}


class Limits(Keys):
    """Where a trial is stopped."""

    time: Duration = Field(default=3600.0, description="time for each trial")
    memory: Size | None = Field(
        default=None, description="memory of each process, torch included; none: the machine's"
    )
    retries: int = Field(
        default=1, ge=0, le=10, description="new attempts where a signal killed a trial"
    )


class Reference(Keys):
    """Figures published elsewhere, shown beside the measured ones."""

    accuracy: Number | None = Field(default=None, ge=0, le=1, description="share of 1")
    accuracy_last: Number | None = Field(default=None, ge=0, le=1, description="at the last epoch")
    mse: Number | None = Field(default=None, ge=0, description="mean squared error")
    parameters: int | None = Field(default=None, ge=0, description="number of parameters")
    latency_s: Number | None = Field(default=None, gt=0, description="seconds per call")


class EntryKeys(Keys):
    """What may stand beside a model's name in an entry of ``models``."""

    train: Training = Field(default_factory=Training, description="instead of the suite's train")
    label: Line = Field(default="", description="what tables call it")
    reference: Reference = Field(default_factory=Reference, description=Reference.__doc__)
    note: str = Field(default="", max_length=10_000, description="a remark under the table")


@dataclass(frozen=True)
class Entry:
    """What a plugin offers, as a suite names it: a dataset, metric or report, as ``kind`` says. A
    parameter given as a list is a grid.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "dataset"


@dataclass(frozen=True)
class ModelEntry(Entry):
    """A model as a suite names it; ``train`` holds what it overrides."""

    kind: str = "model"
    train: Training = field(default_factory=Training)
    label: str = ""
    reference: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


class Suite(Keys):
    """Which models, on which datasets, trained how, measured how, where, with which seeds."""

    name: Annotated[str, AfterValidator(folder_name)] = Field(
        description="names the folder of the results; the file's name if left out"
    )
    notes: str = Field(default="", max_length=10_000, description="remarks under the table")
    datasets: Annotated[tuple[InstanceOf[Entry], ...], WithJsonSchema({})] = Field(
        min_length=1, description="what the models learn"
    )
    models: Annotated[tuple[InstanceOf[ModelEntry], ...], WithJsonSchema({})] = Field(
        min_length=1, description="what is compared"
    )
    metrics: Annotated[tuple[InstanceOf[Entry], ...], WithJsonSchema({})] = Field(
        default=(), description="what is asked of the trained models beside accuracy or mse"
    )
    reports: Annotated[tuple[InstanceOf[Entry], ...], WithJsonSchema({})] = Field(
        default=(), description="files about the run that are written into its folder at its end"
    )
    train: Training = Field(default_factory=Training, description="how every model is trained")
    seeds: Seeds = Field(default=(0, 1, 2), description="a number of seeds, or a list of them")
    devices: Devices = Field(default=("auto",), description="where trials run")
    target: TargetField = Field(
        default=None, description="a figure to reach on validation, as accuracy >= 0.85"
    )
    measure: Measure = Field(default_factory=lambda: Measure(latency=Latency(), memory=Memory()))
    limits: Limits = Field(default_factory=Limits)

    def train_for(self, entry: ModelEntry) -> dict[str, Any]:
        """The training settings of a model as plain data, its overrides and all defaults in."""
        return entry.train.over(self.train).resolved()
